#!/bin/bash
# SOURCE: own
# FAULT: a NetworkPolicy that denies everything is applied; the program exits since; an innocent annotation before
# NAMES: networkpolicy/deny-all
# NOT_BLAMED: deployment/gate
# OUTCOME: approval
# APPROVE: deletes
# WAIT: 15
# REST: deployment/gate
. "$(dirname "$0")/../lib.sh"
baseline(){ app gate registry.local/gate:1 2 | k apply -f -; }
inject(){ k annotate deploy gate note=x; sleep 15; printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny-all}\nspec: {podSelector: {}, policyTypes: [Egress]}\n' | k create -f -; sleep 1; brk deployment/gate crash; }
cured(){ ! k get networkpolicy deny-all >/dev/null 2>&1; }
mend(){ mendd deployment/gate; }
main "$@"
