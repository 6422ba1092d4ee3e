#!/bin/bash
# SOURCE: own
# FAULT: somebody tidies up accounts: the ServiceAccount that the pods of a CronJob run as is deleted; the next Job makes no pod
# NAMES: serviceaccount/archiver
# NOT_BLAMED: cronjob/archive deployment/viewer
# OUTCOME: recovered
# WAIT: 14
# REST: job/ deployment/viewer
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: archiver}\n---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: archive}\nspec: {schedule: "* * * * *", jobTemplate: {spec: {backoffLimit: 0, template: {spec: {serviceAccountName: archiver, restartPolicy: Never, containers: [{name: a, image: "registry.local/archive:1-exit0"}]}}}}}\n---\n'; app viewer registry.local/viewer:1; } | k apply -f -; sleep 2; }
inject(){ k delete sa archiver; k set image deploy/viewer viewer=registry.local/viewer:1.1; for i in $(seq 1 62); do k get events --field-selector reason=FailedCreate -o name | grep -q . && break; sleep 1; done; }
main "$@"
