#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – internal_traffic_policy_local
# FAULT: internalTrafficPolicy Local on a Service whose pod is on another node than its client: the client exits; all pods of the Service are ready
# NAMES: service/recommendation internalTrafficPolicy
# NOT_BLAMED: deployment/frontend deployment/recommendation
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { P='      nodeSelector: {kubernetes.io/hostname: node-2}' C='        env: [{name: RECOMMENDATION, value: "recommendation:8080"}]' app frontend registry.local/frontend:2.0; P='      nodeSelector: {kubernetes.io/hostname: node-1}' app recommendation registry.local/recommendation:2.0; } | k apply -f -; }
inject(){ k patch svc recommendation -p '{"spec":{"internalTrafficPolicy":"Local"}}'; sleep 2; brk deployment/frontend crash 'rpc error: dial tcp: recommendation:8080: i/o timeout'; }
cured(){ [ "$(k get svc recommendation -o jsonpath='{.spec.internalTrafficPolicy}')" != Local ]; }
mend(){ mendd deployment/frontend; }
main "$@"
