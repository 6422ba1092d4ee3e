#!/bin/bash
# SOURCE: own – a decoy: the schedule was changed, and is not the cause
# FAULT: a harmless variable of a CronJob was set; then its database went down: its Job and a Deployment that nobody changed fail with the same words
# NOT_BLAMED: cronjob/settle deployment/ledger VERBOSE
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app ledger registry.local/ledger:1 2; printf -- '---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: settle}\nspec: {schedule: "0 3 1 1 *", jobTemplate: {spec: {backoffLimit: 6, template: {metadata: {labels: {app: settle}}, spec: {restartPolicy: OnFailure, containers: [{name: s, image: "settle:1"}]}}}}}\n'; } | k apply -f -; }
inject(){ k patch cronjob settle --field-manager=kubectl-edit --type=json -p '[{"op":"add","path":"/spec/jobTemplate/spec/template/spec/containers/0/env","value":[{"name":"VERBOSE","value":"1"}]}]'; sleep 2; brk deployment/ledger crash 'dial tcp db.bank:5432: connect: connection refused'; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-s", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash, namespace: "%s", selector: "app=settle", log: "dial tcp db.bank:5432: connect: connection refused"}\n' "$NS" "$NS" | rule; k create job settle-1 --from=cronjob/settle; }
main "$@"
