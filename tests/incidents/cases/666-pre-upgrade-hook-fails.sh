#!/bin/bash
# SOURCE: after reports of Helm – a pre-upgrade hook that fails: nothing was changed
# FAULT: the pre-upgrade hook of an upgrade fails; nothing of it was applied, all pods are those from before
# NAMES: helm/rel
# OUTCOME: recovered|refused|nothing
# KEPT: pods app=web kept
# KEPT: deployment/web baseline
. "$(dirname "$0")/../lib.sh"
baseline(){ chart pre; dep web '{{ .Values.image }}' 2 > $CH/templates/d.yaml; printf '{{- if .Values.migrate }}\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-delete-policy: before-hook-creation}}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: "migrate:1.0-crash-exit6"}]}}}\n{{- end }}\n' > $CH/templates/h.yaml; printf 'image: web:1.0\nmigrate: false\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:1.1,migrate=true --timeout 20s >/dev/null 2>&1; true; }
main "$@"
