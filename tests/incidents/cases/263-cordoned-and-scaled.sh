#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 39: cordoned-kubernetes-worker-node
# FAULT: pinned to a node long enough ago and well, then the node was cordoned, and one more replica was asked for: Pending
# NOT_BLAMED: helm/astronomy deployment/payment.spec.template
# MAY_BLAME: node/node-1 deployment/payment
# OUTCOME: nothing
# TOLD: cordon*|unschedulable
# WAIT: 12
# LIMIT: 60
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ app payment registry.local/payment:2.0 | k apply -f -; }
inject(){ k patch deploy payment -p '{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"node-1"}}}}}'; settled 1; sleep 15; kc cordon node-1; k scale deploy payment --replicas=2; }
cleanup(){ kc uncordon node-1; }
main "$@"
