#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – cross-namespace-dependency
# FAULT: a database of another namespace does not answer: two programs crash-loop at once; one of them got a good image minutes before
# NOT_BLAMED: deployment/api deployment/payments
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ { app api registry.local/api:1 2; app payments registry.local/pay:1 2; } | k apply -f -; }
inject(){ k set image deploy/payments payments=registry.local/pay:1.1; settled 1; sleep 45; for d in api payments; do brk deployment/$d crash 'dial tcp: lookup postgres.infra.svc on 10.96.0.10:53: connection refused'; done; }
main "$@"
