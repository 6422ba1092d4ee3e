#!/bin/bash
# SOURCE: own, after public labs – imagePullPolicy: Never
# FAULT: kubectl apply sets the pull policy to Never together with a good new image: nodes do not have it and may not ask for it
# NAMES: deployment/receipts imagePullPolicy
# OUTCOME: recovered
# NOT_BLAMED: service/receipts
# REST: service/receipts
. "$(dirname "$0")/../lib.sh"
baseline(){ app receipts registry.local/receipts:3.0 2 | k apply -f -; }
inject(){ k label svc receipts seen=yes; C='        imagePullPolicy: Never' app receipts registry.local/receipts:3.1 2 | k apply -f -; }
main "$@"
