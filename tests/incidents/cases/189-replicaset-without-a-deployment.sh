#!/bin/bash
# SOURCE: own, after https://github.com/k8sgpt-ai/k8sgpt – ReplicaSet analyzer
# FAULT: a ReplicaSet of nobody's gets another image, which touches no pod; minutes later one pod is deleted, and the new one fails
# NAMES: replicaset/legacy-worker image 1.5-crash-exit4
# OUTCOME: recovered|approval|refused
# APPROVE: recreate|deletes|takeover
# NOT_BLAMED: service/legacy-worker
# WAIT: 12
# READY: no
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: legacy-worker}\nspec: {replicas: 3, selector: {matchLabels: {app: legacy-worker}}, template: {metadata: {labels: {app: legacy-worker}}, spec: {containers: [{name: main, image: "registry.local/worker:1.4"}]}}}\n' | k apply -f -; sleep 5; }
inject(){ k set image rs/legacy-worker main=registry.local/worker:1.5-crash-exit4; sleep 20; k delete "$(k get pods -l app=legacy-worker -o name | head -1)"; }
check(){ [ "$EXIT" != 0 ] || [ "$(k get rs legacy-worker -o jsonpath='{.status.readyReplicas}')" = 3 ] || { echo "not all ready"; return 1; }; }
main "$@"
