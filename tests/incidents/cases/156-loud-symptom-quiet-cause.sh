#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – severity-misdirection
# FAULT: kubectl set resources lowers the memory of a database: it is killed; the gateway that needs it crash-loops, loudly, and was itself deployed a minute before
# NAMES: deployment/postgres memory
# NOT_BLAMED: deployment/api-gateway
# OUTCOME: recovered
# REST: deployment/api-gateway
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ { C='        resources: {limits: {memory: 256Mi}}' app postgres registry.local/postgres:16 1 5432; app api-gateway registry.local/gw:1.0 3; } | k apply -f -; }
inject(){ k set image deploy/api-gateway api-gateway=registry.local/gw:1.1; settled 1; sleep 25; k set resources deploy/postgres --limits=memory=16Mi; brkrev postgres oom; sleep 4; brk deployment/api-gateway crash 'dial tcp 10.96.0.7:5432: connect: connection refused'; }
cured(){ [ "$(k get deploy postgres -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}')" = 256Mi ] && serves deploy/postgres; }
mend(){ mendd deployment/api-gateway; }
main "$@"
