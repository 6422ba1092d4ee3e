#!/bin/bash
# SOURCE: own – a repair by rollout undo to a revision that can't live any more
# FAULT: a bad image; a colleague goes back too far, to a revision whose Secret was deleted long ago: the revision between was the good one
# NAMES: deployment/indexer
# OUTCOME: recovered
# LEFT: deployment/indexer {.spec.template.spec.containers[0].image} = registry.local/indexer:2.0
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ k create secret generic index-v1 --from-literal=K=1; C='        envFrom: [{secretRef: {name: index-v1}}]' app indexer registry.local/indexer:1.0 2 | k apply -f -; settled 2; app indexer registry.local/indexer:2.0 2 | k apply -f -; settled 2; k delete secret index-v1; }
inject(){ k set image deploy/indexer indexer=registry.local/indexer:3.0-crash-exit2; sleep 8; k rollout undo deploy/indexer --to-revision=1; }
main "$@"
