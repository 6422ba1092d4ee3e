#!/bin/bash
# SOURCE: own
# FAULT: a person edits the image of a CronJob that a Helm release owns; its next Job waits for an image that is not there; the release had two good revisions
# NAMES: cronjob/rollup kubectl* image
# NOT_BLAMED: "helm/stats went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ chart stats; { app stats-api registry.local/stats:1; printf -- '---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: rollup}\nspec: {schedule: "0 3 1 1 *", jobTemplate: {spec: {backoffLimit: 1, template: {spec: {restartPolicy: Never, containers: [{name: r, image: "{{ .Values.image }}"}]}}}}}\n'; } > $CH/templates/a.yaml; printf 'image: rollup:1-exit0\n' > $CH/values.yaml; h install stats $CH >/dev/null; sleep 2; h upgrade stats $CH --set image=rollup:2-exit0 >/dev/null; k create job rollup-1 --from=cronjob/rollup; sleep 4; }
inject(){ k patch cronjob rollup --field-manager=kubectl-edit --type=json -p '[{"op":"replace","path":"/spec/jobTemplate/spec/template/spec/containers/0/image","value":"rollup:3-missing"}]'; sleep 1; k create job rollup-2 --from=cronjob/rollup; }
main "$@"
