#!/bin/bash
# SOURCE: after reports of Helm – a failed hook leaves a failed release, and the new objects
# FAULT: an upgrade with a good image and a new setting; its post-upgrade hook (a Job) fails: the release is failed, its pods are well
# NAMES: helm/rel
# OUTCOME: recovered|refused|approval
# KEPT: pods app=other kept
. "$(dirname "$0")/../lib.sh"
baseline(){ chart post; { dep web '{{ .Values.image }}' 2; printf -- '---\n'; dep other other:1.0 1; } > $CH/templates/d.yaml; printf '{{- if .Values.migrate }}\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: post-upgrade, helm.sh/hook-delete-policy: before-hook-creation}}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: "migrate:1.0-crash-exit6"}]}}}\n{{- end }}\n' > $CH/templates/h.yaml; printf 'image: web:1.0\nmigrate: false\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:1.1,migrate=true --timeout 20s >/dev/null 2>&1; settled 1; }
main "$@"
