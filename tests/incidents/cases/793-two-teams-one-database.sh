#!/bin/bash
# SOURCE: own, after runbooks – too many connections
# FAULT: another namespace's program took all connections of a database outside: two of our programs end; one was upgraded by Helm with more memory, the other one scaled up by hand, well before
# NOT_BLAMED: helm/ours deployment/quotes deployment/feeds
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  quotes: {image: "registry.local/quotes:3", replicas: 2, container: {resources: {requests: {memory: %s}}}}\n' $1; }
baseline(){ v 16Mi | h upgrade -i ours $CHART -f - >/dev/null; app feeds registry.local/feeds:3 1 | k apply -f -; }
inject(){ v 24Mi | h upgrade ours $CHART -f - >/dev/null; settled 1; k scale deploy feeds --replicas=2; settled 1; sleep 30; brk deployment/quotes crash 'FATAL: sorry, too many clients already'; sleep 7; brk deployment/feeds crash 'FATAL: remaining connection slots are reserved'; }
main "$@"
