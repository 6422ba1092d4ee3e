#!/bin/bash
# FAULT: kubectl edit renames the port of a container; a NetworkPolicy that lets requests in by that name lets none in any more, and nothing fails for it
# NAMES: deployment/ledger ports
# NOT_BLAMED: networkpolicy/ledger
# NOT_BLAMED: deployment/teller
# OUTCOME: recovered
# LEFT: deployment/ledger {.spec.template.spec.containers[0].ports[0].name} = rpc
. "$(dirname "$0")/../lib.sh"
named(){ dep "$1" "$1:1.0" 2 | sed "s/ports: \[{containerPort: 8080}\]/ports: [{name: $2, containerPort: 8080}]/"; }
baseline(){ { named ledger rpc; echo ---; named teller http; } | k apply -f - >/dev/null
printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: ledger}\nspec: {podSelector: {matchLabels: {app: ledger}}, ingress: [{from: [{podSelector: {matchLabels: {app: teller}}}], ports: [{port: rpc}]}]}\n' | k apply -f - >/dev/null
ready deploy/ledger; ready deploy/teller; k set env deploy/teller NOTE=1 >/dev/null; settled 1; }
inject(){ k patch deploy ledger --type json -p '[{"op": "replace", "path": "/spec/template/spec/containers/0/ports/0/name", "value": "grpc"}]' --field-manager kubectl-edit >/dev/null; settled 1; }
main "$@"
