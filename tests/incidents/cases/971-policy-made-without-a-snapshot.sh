#!/bin/bash
# SOURCE: own, after SREGym – network policies, without a snapshot
# FAULT: kubectl makes a policy that lets nothing out; the program exits; 40 s before it got a good image, and ran; no snapshot
# NAMES: networkpolicy/freeze kubectl*
# NOT_BLAMED: deployment/courier
# OUTCOME: recovered|approval|refused
# APPROVE: deletes
# SNAP: no
# REST: deployment/courier.spec
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ app courier registry.local/courier:1 2 | k apply -f -; }
inject(){ k set image deploy/courier courier=registry.local/courier:1.1; settled 1; sleep 40; printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: freeze}\nspec: {podSelector: {matchLabels: {app: courier}}, policyTypes: [Egress]}\n' | k create -f -; sleep 2; brk deployment/courier crash 'dial tcp 203.0.113.5:443: i/o timeout'; }
cured(){ ! k get networkpolicy freeze; }
mend(){ mendd deployment/courier; }
main "$@"
