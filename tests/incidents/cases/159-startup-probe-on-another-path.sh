#!/bin/bash
# SOURCE: labs – startup probe
# FAULT: kubectl edit of the startup probe of a DaemonSet to a port where nobody listens; somebody restarts another program
# NAMES: daemonset/shipper startupProbe
# NOT_BLAMED: deployment/ui
# OUTCOME: recovered
# REST: deployment/ui
# WAIT: 25
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: shipper}\nspec: {selector: {matchLabels: {app: shipper}}, template: {metadata: {labels: {app: shipper}}, spec: {containers: [{name: main, image: "registry.local/ship:1", ports: [{containerPort: 8080}], startupProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1, failureThreshold: 5}}]}}}\n---\n'; app ui registry.local/ui:1; } | k apply -f -; }
inject(){ k rollout restart deploy/ui; k patch ds shipper --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/startupProbe/httpGet/port","value":9999}]'; }
main "$@"
