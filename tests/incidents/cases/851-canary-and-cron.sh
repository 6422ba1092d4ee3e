#!/bin/bash
# SOURCE: own
# FAULT: none: two Deployments behind one Service, an autoscaled one at its minimum, a good upgrade, a restart, a finished Job
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ { app blue registry.local/b:1 1; app green registry.local/b:2 1; } | sed 's/labels: {app: \(blue\|green\)}$/labels: {app: \1, tier: web}/; s/^      labels: {app: \(blue\|green\)}/      labels: {app: \1, tier: web}/' | k apply -f -; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: both}\nspec: {selector: {tier: web}, ports: [{port: 80, targetPort: 8080}]}\n' | k apply -f -; }
inject(){ k set image deploy/blue blue=registry.local/b:2; settled 1; k rollout restart deploy/green; settled 1; k annotate svc both a=b; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: nn, image: "registry.local/n:1-exit0"}]}}}\n' | k apply -f -; }
main "$@"
