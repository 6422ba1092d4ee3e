#!/bin/bash
# SOURCE: own, after reports of registries' retention rules
# FAULT: the registry's retention took the tag that runs; pods are replaced one by one by somebody who tidies up, and can't pull; a good change of the resources by kubectl before
# NOT_BLAMED: statefulset/ledger deployment/audit
# OUTCOME: nothing
# TOLD: registry
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: ledger}\nspec: {serviceName: ledger, replicas: 2, selector: {matchLabels: {app: ledger}}, template: {metadata: {labels: {app: ledger}}, spec: {containers: [{name: main, image: "harbor.local/bank/ledger:2024.11"}]}}}\n---\n'; app audit harbor.local/bank/audit:7 1; } | k apply -f -; }
inject(){ k set resources sts/ledger --requests=cpu=5m; settled 2; k set env deploy/audit ZONE=b; settled 1; sleep 25; brk statefulset/ledger missing; k delete pod ledger-1 --wait=false; }
main "$@"
