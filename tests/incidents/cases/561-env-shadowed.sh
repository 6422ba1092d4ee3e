#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – env_variable_shadowing
# FAULT: deleted and applied anew with an env variable that points to itself: it runs and is never ready; the load generator ends by itself
# NAMES: deployment/frontend-proxy FRONTEND_HOST kubectl*
# NOT_BLAMED: "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# MAY_FAIL: deployment/load-generator
# EXIT: 0|7|8
# WAIT: 26
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy "$load" | up astronomy; }
inject(){ reapply frontend-proxy "c['env'][0]['value']='localhost'"; shown frontend-proxy unready 'upstream connect error or disconnect/reset before headers: localhost:8080'; }
main "$@"
