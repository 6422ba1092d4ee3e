#!/bin/bash
# SOURCE: own
# FAULT: a program rewrites a Secret beside a release, and a StatefulSet of that is restarted with it; a minute later an upgrade brings an image that is not there
# NAMES: helm/shop queue image 1.1-missing
# OUTCOME: stopped
# TOLD: secret/queue-login
# EXIT: 7
# RUN: helm/shop --approve takeover
# LEFT: statefulset/queue {.spec.template.spec.containers[0].image} = queue:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ k create secret generic queue-login --from-literal=token=a1; chart shop; printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: queue}\nspec: {serviceName: queue, replicas: 2, podManagementPolicy: Parallel, selector: {matchLabels: {app: queue}}, template: {metadata: {labels: {app: queue}}, spec: {containers: [{name: main, image: "{{ .Values.queue }}", volumeMounts: [{name: l, mountPath: /login, subPath: token}]}], volumes: [{name: l, secret: {secretName: queue-login}}]}}}\n' > $CH/templates/d.yaml; printf 'queue: queue:1.0\n' > $CH/values.yaml; h install shop $CH >/dev/null; ready sts/queue; }
inject(){ k patch secret queue-login --field-manager=rotate-bot -p '{"stringData":{"token":""}}'; k rollout restart sts/queue; sleep 2; ready sts/queue; sleep 2; h upgrade shop $CH --set queue=queue:1.1-missing >/dev/null; sleep 3; }
main "$@"
