#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – missing_service
# FAULT: the Service of one backend was deleted, then all pods; its client can't resolve the name and exits (Helm release)
# NAMES: service/user-service
# NOT_BLAMED: deployment/compose-post deployment/user-service
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ k delete svc user-service; k delete pod --all --wait=false; brk deployment/compose-post crash 'could not resolve host for client socket: user-service: Name or service not known'; }
cured(){ k get svc user-service; }
mend(){ mendd deployment/compose-post; }
main "$@"
