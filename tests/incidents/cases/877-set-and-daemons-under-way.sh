#!/bin/bash
# SOURCE: own – rollouts that take their time
# FAULT: none: a StatefulSet and a DaemonSet of a release are being updated one pod at a time, each pod needs 30 s
# BROKEN: no
# OUTCOME: nothing
# KEPT: statefulset/queue {.spec.template.spec.containers[0].image} = registry.local/queue:2-slow30s
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
all(){ chart under; printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: queue}\nspec: {serviceName: queue, replicas: 3, selector: {matchLabels: {app: queue}}, template: {metadata: {labels: {app: queue}}, spec: {containers: [{name: main, image: "registry.local/queue:%s", ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}}]}}}\n---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: tail}\nspec: {selector: {matchLabels: {app: tail}}, template: {metadata: {labels: {app: tail}}, spec: {containers: [{name: main, image: "registry.local/tail:%s", ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}}]}}}\n' $1 $1 > $CH/templates/a.yaml; h upgrade -i under $CH >/dev/null; }
baseline(){ all 1; ready ds/tail; }
inject(){ all 2-slow30s; }
main "$@"
