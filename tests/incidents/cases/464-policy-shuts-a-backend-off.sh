#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – network_policy_block; https://github.com/itbench-hub/ITBench – 31
# FAULT: a NetworkPolicy lets nobody reach one backend; the backend is ready, its client exits; the client got an innocent image before
# NAMES: networkpolicy/recommendation-block-all-ports
# NOT_BLAMED: deployment/frontend deployment/recommendation
# OUTCOME: recovered|approval|refused
# APPROVE: deletes
# WAIT: 16
# REST: deployment/frontend.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { C='        env: [{name: RECOMMENDATION, value: "recommendation:8080"}]' app frontend registry.local/hotel:1.4 2; app recommendation registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k set image deploy/frontend frontend=registry.local/hotel:1.4.1; settled 1; sleep 15; printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: recommendation-block-all-ports}\nspec: {podSelector: {matchLabels: {app: recommendation}}, policyTypes: [Ingress]}\n' | k create --field-manager=OpenAPI-Generator -f -; sleep 2; brk deployment/frontend crash 'rpc error: recommendation:8080: context deadline exceeded: i/o timeout'; }
cured(){ ! k get networkpolicy recommendation-block-all-ports; }
mend(){ mendd deployment/frontend; }
main "$@"
