#!/bin/bash
# SOURCE: https://github.com/helm/helm/issues/12388 – a hook after the rollback fails: the objects are back, the release says otherwise
# FAULT: a bad image; the revision that one goes back to has a post-rollback hook (a Job) that fails
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: stopped|recovered
# TOLD: hook
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# KEPT: deployment/other baseline
. "$(dirname "$0")/../lib.sh"
baseline(){ chart hooks; { dep web '{{ .Values.image }}'; printf -- '---\n'; dep other other:1 1; } > $CH/templates/d.yaml; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: notify, annotations: {helm.sh/hook: post-rollback, helm.sh/hook-delete-policy: before-hook-creation}}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: "notify:1.0-crash-exit6"}]}}}\n' > $CH/templates/h.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; }
main "$@"
