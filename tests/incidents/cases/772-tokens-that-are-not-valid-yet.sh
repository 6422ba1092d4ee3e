#!/bin/bash
# SOURCE: own, after runbooks – NodeClockNotSynchronising
# FAULT: the clock of one node is wrong: the program's pods there reject tokens and exit, those elsewhere are well; a ConfigMap that it reads was changed before, it was restarted, and served
# NOT_BLAMED: configmap/gate-rules deployment/gate
# MAY_BLAME: node/node-2
# OUTCOME: nothing
# TOLD: node-2
# WAIT: 14
# LIMIT: 60
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gate-rules}\ndata: {LEVEL: strict}\n'; C='        envFrom: [{configMapRef: {name: gate-rules}}]' app gate registry.local/gate:5.1 6; } | k apply -f -; }
inject(){ k patch cm gate-rules --type merge -p '{"data":{"LEVEL":"strict","BANNER":"hello"}}'; k rollout restart deploy/gate; settled 1; sleep 35; for p in $(k get pod -l app=gate --field-selector spec.nodeName=node-2 -o name); do brk $p crash 'jwt: token used before issued: iat is 4 minutes ahead of this clock'; done; }
main "$@"
