#!/bin/bash
# SOURCE: own
# FAULT: a program on call raised a StatefulSet of a release at noon (by an apply of its own); in the evening an upgrade breaks a DaemonSet of that release
# NAMES: helm/shop agent image
# OUTCOME: recovered|approval
# APPROVE: takeover
# KEPT: statefulset/queue {.spec.replicas} = 4
# KEPT: pods app=queue kept
# LEFT: daemonset/agent {.spec.template.spec.containers[0].image} = agent:1.0
. "$(dirname "$0")/../lib.sh"
raised(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: queue}\nspec: {replicas: 4}\n' | k apply --server-side --force-conflicts --field-manager=rush-bot -f -; }
baseline(){ chart shop; printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: queue}\nspec: {serviceName: queue, replicas: 2, podManagementPolicy: Parallel, selector: {matchLabels: {app: queue}}, template: {metadata: {labels: {app: queue}}, spec: {containers: [{name: main, image: "queue:1.0"}]}}}\n---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: main, image: "{{ .Values.agent }}"}]}}}\n' > $CH/templates/d.yaml; printf 'agent: agent:1.0\n' > $CH/values.yaml; h install shop $CH >/dev/null; ready sts/queue; raised; ready sts/queue; }
inject(){ h upgrade shop $CH --set agent=agent:1.1-crash-exit3 --force-conflicts >/dev/null; raised; }
main "$@"
