#!/bin/bash
# SOURCE: after reports of Helm and Argo CD – the template of a Job is immutable
# FAULT: a plain Job of the chart was deleted so that the upgrade could go on; the upgrade brings a bad image: going back would change the Job's template
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval
# APPROVE: recreate|deletes
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# REST: job/migrate
. "$(dirname "$0")/../lib.sh"
baseline(){ chart job; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: "migrate:{{ .Values.job }}"}]}}}\n' > $CH/templates/j.yaml; printf 'image: web:1.0\njob: 1.0-exit0\n' > $CH/values.yaml; h install rel $CH >/dev/null; ready deploy/web; sleep 2; }
inject(){ k delete job migrate >/dev/null; h upgrade rel $CH --set job=2.0-exit0,image=web:2.0-crash-exit3 >/dev/null; }
main "$@"
