#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – gc_capacity_degradation (as the noise), misconfig_app
# FAULT: a program sets a variable in all Deployments of a Helm release, without harm; half a minute later one gets a bad image
# NAMES: deployment/geo image app3*
# NOT_BLAMED: deployment/rate deployment/profile GOGC
# REST: deployment/rate.spec deployment/profile.spec deployment/frontend.spec deployment/recommendation.spec deployment/geo.spec.template.spec.containers
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ for d in geo rate profile frontend recommendation; do api patch deploy $d -p '{"spec":{"template":{"spec":{"containers":[{"name":"'$d'","env":[{"name":"GOGC","value":"90"}]}]}}}}'; done; settled 1; sleep 25; api patch deploy geo -p '{"spec":{"template":{"spec":{"containers":[{"name":"geo","image":"registry.local/geo:app3"}]}}}}'; shown geo crash 'panic: no reachable servers: yaml: unmarshal errors'; }
main "$@"
