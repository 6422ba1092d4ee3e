#!/bin/bash
# SOURCE: own, after https://github.com/jordigilh/kubernaut-demo-scenarios – cross-namespace
# FAULT: another team's new policy in its own namespace lets nobody in: our program's calls run into timeouts and it exits; our own policy was opened further, and our variable changed, before
# NOT_BLAMED: deployment/invoices networkpolicy/invoices-in
# MAY_BLAME: networkpolicy/lockdown
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
np(){ printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: invoices-in}\nspec: {podSelector: {matchLabels: {app: invoices}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}%s]}]}\n' "$1" | k apply -f -; }
baseline(){ np ''; app invoices registry.local/invoices:1.9 2 | k apply -f -; kc create ns ${NS}x --dry-run=client -o yaml | kc apply -f -; app billing registry.local/billing:4 1 | kc -n ${NS}x apply -f -; }
inject(){ np ', {namespaceSelector: {}}'; k set env deploy/invoices CURRENCY=chf; settled 1; sleep 40; printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: lockdown}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n' | kc -n ${NS}x create -f -; sleep 2; brk deployment/invoices crash "Post http://billing.${NS}x.svc:8080/v1/charge: dial tcp 10.96.3.4:8080: i/o timeout"; }
cleanup(){ kc delete ns ${NS}x --wait=false; }
main "$@"
