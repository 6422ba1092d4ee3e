#!/bin/bash
# SOURCE: own
# FAULT: kubectl patch moves the liveness probe of a StatefulSet to a port that nobody serves, beside an innocent label of its Service
# NAMES: statefulset/ledger livenessProbe
# NOT_BLAMED: service/ledger
# OUTCOME: recovered
# REST: service/ledger
# WAIT: 25
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: v1\nkind: Service\nmetadata: {name: ledger}\nspec: {clusterIP: None, selector: {app: ledger}, ports: [{port: 7000}]}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: ledger}\nspec: {serviceName: ledger, replicas: 2, selector: {matchLabels: {app: ledger}}, template: {metadata: {labels: {app: ledger}}, spec: {containers: [{name: l, image: "registry.local/ledger:4.0", ports: [{containerPort: 7000}], livenessProbe: {httpGet: {path: /healthz, port: 7000}, periodSeconds: 2}}]}}}\n' | k apply -f -; }
inject(){ k label svc ledger team=books; k patch sts ledger --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/livenessProbe/httpGet/port","value":7999},{"op":"add","path":"/spec/template/metadata/annotations","value":{"twin.backout.dev/fault":"unlive"}}]'; }
main "$@"
