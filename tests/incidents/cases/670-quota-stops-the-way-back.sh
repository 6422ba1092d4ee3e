#!/bin/bash
# SOURCE: after reports of Helm – a rollback that waits for pods that nobody may make
# FAULT: a bad image by an upgrade (all pods are recreated); meanwhile the quota of the team was made too small for the pods that go back
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: stopped|refused
# TOLD: quota
# LIMIT: 60
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: team}\nspec: {hard: {pods: "6"}}\n' | k apply -f -; chart q; dep web '{{ .Values.image }}' 3 | sed 's/^  replicas: 3/  replicas: 3\n  strategy: {type: Recreate}/' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; sleep 6; k patch quota team -p '{"spec":{"hard":{"pods":"2"}}}'; }
main "$@"
