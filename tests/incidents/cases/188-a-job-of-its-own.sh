#!/bin/bash
# SOURCE: after https://github.com/HolmesGPT/holmesgpt – 12_job_crashing (made anew with other arguments)
# FAULT: a Job is deleted and made anew by a pipeline with a wrong argument: it fails until its limit
# NAMES: job/schema-migrate args|v43|deleted|created|anew
# NOT_BLAMED: deployment/catalogue
# OUTCOME: refused|approval|recovered
# APPROVE: recreate|deletes
# REST: job/schema-migrate deployment/catalogue.labels
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
job(){ printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: schema-migrate}\nspec: {backoffLimit: 1, template: {metadata: {labels: {app: schema-migrate}}, spec: {restartPolicy: Never, containers: [{name: migrate, image: "registry.local/migrate:%s", args: ["--to=%s"]}]}}}\n' $1 $2; }
baseline(){ { job 4.2-exit0 v42; printf -- '---\n'; app catalogue registry.local/catalogue:42 2; } | k apply -f -; sleep 4; }
inject(){ k label deploy catalogue phase=migrating; k delete job schema-migrate; job 4.2-exit7 v43 | k apply --field-manager=ci-deployer --server-side -f -; }
main "$@"
