#!/bin/bash
# SOURCE: own
# FAULT: helm upgrade gives a CronJob an argument that its program does not know: the Jobs since fail; a Deployment of the release got a good image in the same upgrade
# NAMES: helm/sync cronjob/mirror|args
# OUTCOME: recovered
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
baseline(){ chart sync; { app sync-api 'registry.local/sync:{{ .Values.tag }}'; printf -- '---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: mirror}\nspec: {schedule: "0 3 1 1 *", jobTemplate: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: m, image: "mirror:1-exit{{ .Values.code }}", args: ["--depth={{ .Values.depth }}"]}]}}}}}\n'; } > $CH/templates/a.yaml; printf 'tag: "1"\ncode: 0\ndepth: 3\n' > $CH/values.yaml; h install sync $CH >/dev/null; k create job mirror-1 --from=cronjob/mirror; sleep 4; }
inject(){ h upgrade sync $CH --set tag=2,code=2,depth=all >/dev/null; k create job mirror-2 --from=cronjob/mirror; }
main "$@"
