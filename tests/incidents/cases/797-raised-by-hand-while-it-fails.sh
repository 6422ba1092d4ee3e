#!/bin/bash
# SOURCE: own
# FAULT: an upgrade brings a bad image of a StatefulSet; somebody raises that set by hand in the hope that it helps: nothing of that is to stay
# NAMES: helm/shop queue image
# OUTCOME: recovered|approval
# APPROVE: takeover
# LEFT: statefulset/queue {.spec.template.spec.containers[0].image} = queue:1.0
# LEFT: statefulset/queue {.spec.replicas} = 2
. "$(dirname "$0")/../lib.sh"
baseline(){ chart shop; printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: queue}\nspec: {serviceName: queue, replicas: 2, podManagementPolicy: Parallel, selector: {matchLabels: {app: queue}}, template: {metadata: {labels: {app: queue}}, spec: {containers: [{name: main, image: "{{ .Values.queue }}"}]}}}\n' > $CH/templates/d.yaml; printf 'queue: queue:1.0\n' > $CH/values.yaml; h install shop $CH >/dev/null; ready sts/queue; }
inject(){ h upgrade shop $CH --set queue=queue:1.1-crash-exit3 >/dev/null; sleep 6; k scale sts/queue --replicas 4; }
main "$@"
