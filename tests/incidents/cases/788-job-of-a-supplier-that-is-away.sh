#!/bin/bash
# SOURCE: own, after HolmesGPT – failed jobs whose cause is outside
# FAULT: a nightly import fails because the supplier's server is down; the schedule was moved by kubectl, and ran well once since
# NOT_BLAMED: cronjob/import
# OUTCOME: nothing
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
baseline(){ app web registry.local/web:1 | k apply -f -; printf 'apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: import}\nspec: {schedule: "0 2 * * *", jobTemplate: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.local/import:3-exit0"}]}}}}}\n' | k apply -f -; }
inject(){ k patch cronjob import -p '{"spec":{"schedule":"0 3 * * *"}}'; k create job --from=cronjob/import import-1; sleep 8; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-i", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash-exit4, namespace: "%s", container: main, image: "registry.local/import:*", log: "sftp supplier.example.net: Connection timed out"}\n' $NS $NS | rule; k create job --from=cronjob/import import-2; }
main "$@"
