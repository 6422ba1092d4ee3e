#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 12_job_crashing
# FAULT: the runs of a CronJob can't reach their database; its time of day was changed before, and it ran well since
# NOT_BLAMED: cronjob/checker
# OUTCOME: nothing
# READY: no
. "$(dirname "$0")/../lib.sh"
run(){ k create job checker-$1 --from=cronjob/checker >/dev/null; }
baseline(){ printf 'apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: checker}\nspec: {schedule: "0 3 * * *", jobTemplate: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: c, image: "registry.local/checker:1-exit0"}]}}}}}\n' | k apply -f -; app shop registry.local/shop:1 | k apply -f -; run a; sleep 5; }
inject(){ k patch cronjob checker -p '{"spec":{"schedule":"0 4 * * *"}}'; run b; sleep 8; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-checker", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: "crash", namespace: "%s", selector: "batch.kubernetes.io/job-name=checker-c", log: "failed to connect to prod-db:3333: connection refused"}\n' "$NS" "$NS" | rule; run c; }
main "$@"
