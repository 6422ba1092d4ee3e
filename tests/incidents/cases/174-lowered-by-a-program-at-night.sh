#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – nightly_rebalance_oom
# FAULT: a program that rebalances at night lowers the memory limit of one Deployment: OOMKilled; it changed another one harmlessly at the same time
# NAMES: deployment/recommendation memory rebalancer
# NOT_BLAMED: deployment/profile
# OUTCOME: recovered
# WAIT: 14
# REST: deployment/profile.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ for d in recommendation profile; do C='        resources: {requests: {memory: 32Mi}, limits: {memory: 128Mi}}' app $d registry.local/hotel:1.4; done | k apply -f -; }
lower(){ k patch --field-manager=rebalancer deploy $1 -p '{"spec":{"template":{"spec":{"containers":[{"name":"'$1'","resources":{"requests":{"memory":"'$2'"},"limits":{"memory":"'$2'"}}}]}}}}'; }
inject(){ lower profile 96Mi; lower recommendation 12Mi; shown recommendation oom ''; }
main "$@"
