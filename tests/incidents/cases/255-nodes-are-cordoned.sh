#!/bin/bash
# SOURCE: https://github.com/prometheus-operator/runbooks – KubePodNotReady: every node is cordoned
# FAULT: both nodes are cordoned for maintenance; then a good image is rolled out and its pods have no place
# NOT_BLAMED: deployment/shop
# MAY_BLAME: node/node-1 node/node-2
# OUTCOME: nothing
# TOLD: cordon*|unschedulable|closed
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
baseline(){ app shop registry.local/shop:1.0 2 | k apply -f -; }
inject(){ kc cordon node-1; kc cordon node-2; sleep 5; k set image deploy/shop shop=registry.local/shop:1.1; }
cleanup(){ kc uncordon node-1; kc uncordon node-2; }
main "$@"
