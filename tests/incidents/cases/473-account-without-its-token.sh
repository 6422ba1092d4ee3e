#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – a service account's token that is mounted no more
# FAULT: hardening switches the mounting of tokens off on a ServiceAccount; pods that are replaced since find none and exit
# NAMES: serviceaccount/informer automountServiceAccountToken
# NOT_BLAMED: deployment/informer
# OUTCOME: recovered
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: informer}\nautomountServiceAccountToken: true\n---\n'; P='      serviceAccountName: informer' app informer registry.local/informer:2 2; } | k apply -f -; }
inject(){ k patch sa informer -p '{"automountServiceAccountToken": false}'; sleep 6; k delete pods -l app=informer --wait=false; brk deployment/informer crash 'unable to load in-cluster config: open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory'; }
cured(){ [ "$(k get sa informer -o jsonpath='{.automountServiceAccountToken}')" = true ]; }
mend(){ mendd deployment/informer; }
main "$@"
