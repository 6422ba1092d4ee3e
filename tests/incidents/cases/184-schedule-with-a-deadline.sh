#!/bin/bash
# SOURCE: after https://github.com/k8sgpt-ai/k8sgpt – CronJob and Job analyzers
# FAULT: a CI account patches the image of a CronJob to a tag that nobody pushed; the Job made since waits for its image
# NAMES: cronjob/nightly-export image 2024.11-missing
# NOT_BLAMED: deployment/reports
# OUTCOME: recovered
# REST: deployment/reports.labels
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ { app reports registry.local/reports:1; printf -- '---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly-export}\nspec: {schedule: "0 3 1 1 *", concurrencyPolicy: Forbid, jobTemplate: {spec: {backoffLimit: 1, template: {spec: {restartPolicy: Never, containers: [{name: export, image: "registry.local/export:2024.10-exit0"}]}}}}}\n'; } | k apply -f -; k create job nightly-export-1 --from=cronjob/nightly-export; sleep 5; }
inject(){ k patch cronjob nightly-export --field-manager=gitlab-runner --type=json -p '[{"op":"replace","path":"/spec/jobTemplate/spec/template/spec/containers/0/image","value":"registry.local/export:2024.11-missing"}]'; sleep 2; k label deploy reports quarter=q4; k create job nightly-export-2 --from=cronjob/nightly-export --dry-run=client -o json | python3 -c "
import json,sys,subprocess
d=json.load(sys.stdin); json.dump(d,sys.stdout)" | k apply -f -; }
main "$@"
