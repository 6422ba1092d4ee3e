#!/bin/bash
# SOURCE: own
# FAULT: the pods of one node exit (their disk is full), others of the same StatefulSet and Deployment are well; a scale-up before
# NOT_BLAMED: deployment/index
# MAY_BLAME: node/node-1
# OUTCOME: nothing
# WAIT: 15
# LIMIT: 60
. "$(dirname "$0")/../lib.sh"
baseline(){ { app index registry.local/index:1 3; app search registry.local/search:1 2; } | k apply -f -; }
inject(){ k scale deploy index --replicas=4; settled 1; sleep 12; for p in $(k get pod --field-selector spec.nodeName=node-1 -o name); do brk $p crash 'write /data: no space left on device'; done; }
main "$@"
