#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – memory-leak, operator-oomkill-informer
# FAULT: a program grows until it is killed for its memory; nothing of it was changed. Others: many new ConfigMaps, a scale-up, a good image of a neighbour
# NOT_BLAMED: deployment/operator deployment/neighbour
# MAY_BLAME: configmap*
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ { C='        resources: {limits: {memory: 128Mi}}' app operator registry.local/op:1 2; app neighbour registry.local/n:1; } | k apply -f -; }
inject(){ k set image deploy/neighbour neighbour=registry.local/n:1.1; k scale deploy operator --replicas=3; settled 1; for i in 1 2 3 4 5 6; do k create cm flood-$i --from-literal=a=b; done; sleep 40; brk deployment/operator oom; }
main "$@"
