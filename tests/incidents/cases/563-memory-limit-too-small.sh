#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – resource_request_too_small
# FAULT: deleted and applied anew with a memory limit that the program can't live with: OOMKilled
# NAMES: deployment/mongodb-rate memory kubectl*
# NOT_BLAMED: deployment/rate "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ reapply mongodb-rate "c['resources']={'requests':{'memory':'10Mi'},'limits':{'memory':'10Mi'}}"; shown mongodb-rate oom ''; sleep 3; brk deployment/rate crash 'mongodb-rate:27017: connection refused: server selection timeout'; }
cured(){ [ "$(k get deploy mongodb-rate -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}')" = 256Mi ] && serves deploy/mongodb-rate; }
mend(){ mendd deployment/rate; }
main "$@"
