#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – noop_detection
# FAULT: none: three good upgrades, a flag that was switched without harm, a finished Job, a load generator that ended once and is back
# BROKEN: no
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ for n in 5 6; do hotel "  search: {image: \"registry.local/hotel:1.$n\", port: 8082}" | up hotel; settled 1; done; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: seed}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: s, image: "registry.local/s:1-exit0"}]}}}\n' | k apply -f -; k delete pod -l app=geo --wait=false; brk deployment/frontend crash; sleep 3; mendd deployment/frontend; settled 12; }
main "$@"
