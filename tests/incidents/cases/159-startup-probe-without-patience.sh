#!/bin/bash
# SOURCE: labs – startup probe (a slow program)
# FAULT: kubectl patch gives the startup probe of a DaemonSet less time than its program needs; somebody restarts another program
# NAMES: daemonset/shipper startupProbe
# NOT_BLAMED: deployment/ui
# OUTCOME: recovered
# REST: deployment/ui
# WAIT: 25
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: shipper}\nspec: {selector: {matchLabels: {app: shipper}}, template: {metadata: {labels: {app: shipper}}, spec: {containers: [{name: main, image: "registry.local/ship:1-slow12s", ports: [{containerPort: 8080}], startupProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 30}}]}}}\n---\n'; app ui registry.local/ui:1; } | k apply -f -; }
inject(){ k rollout restart deploy/ui; k patch ds shipper --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/startupProbe/failureThreshold","value":3}]'; }
main "$@"
