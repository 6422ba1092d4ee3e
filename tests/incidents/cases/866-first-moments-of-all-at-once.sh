#!/bin/bash
# SOURCE: https://github.com/SREGym/SREGym – rolling_update_misconfigured, looked at in its first seconds
# FAULT: maxUnavailable 100% and a new init container that hangs: nobody serves, and nobody can know yet whether it is slow or stuck
# OUTCOME: nothing
# BROKEN: no
# TOLD: "being rolled out"
# NOT_TOLD: "Nothing is broken."
# READY: no
# WAIT: 3
. "$(dirname "$0")/../lib.sh"
baseline(){ app bellringer registry.local/bells:1.0 3 | sed 's/progressDeadlineSeconds: 20/progressDeadlineSeconds: 600/' | k apply -f -; }
inject(){ k patch deploy bellringer -p '{"spec":{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":"100%"}},"template":{"spec":{"initContainers":[{"name":"tune","image":"busybox:1.36","command":["sh","-c","sleep 86400"]}]}}}}'; }
main "$@"
