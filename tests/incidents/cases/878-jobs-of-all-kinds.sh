#!/bin/bash
# SOURCE: own, after false alarms about Jobs
# FAULT: none: a Job that needed a second try, one that is suspended, a schedule whose last-but-one run failed and whose last one went well, one that forbids overlap and is at work
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
cj(){ printf 'apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: %s}\nspec: {schedule: "0 4 * * *", concurrencyPolicy: Forbid, suspend: %s, jobTemplate: {spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: main, image: "registry.local/job:%s"}]}}}}}\n---\n' $1 $2 $3; }
baseline(){ app api registry.local/api:1 2 | k apply -f -; { cj nightly false 1-exit0; cj paused true 1-exit0; cj long false 1; } | k apply -f -; }
inject(){ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-n", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash-exit1, namespace: "%s", image: "registry.local/job:1-exit0"}\n' $NS $NS | rule; k create job --from=cronjob/nightly nightly-1; sleep 5; kc -n kube-system delete cm brk-$NS-n; k create job --from=cronjob/nightly nightly-2; k create job --from=cronjob/long long-1; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: held}\nspec: {suspend: true, template: {spec: {restartPolicy: Never, containers: [{name: m, image: "registry.local/j:1-exit0"}]}}}\n' | k apply -f -; k rollout restart deploy/api; settled 1; sleep 4; }
main "$@"
