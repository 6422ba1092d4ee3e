#!/bin/bash
# SOURCE: after reports of Kubernetes – OnDelete: the template goes back, the pod stays
# FAULT: kubectl set image of an OnDelete StatefulSet, hours later one pod is made anew and crashes
# NAMES: statefulset/db image 2.0-crash-exit2
# OUTCOME: recovered
# KEPT: pod/db-0 same
# KEPT: pod/db-2 same
# LEFT: pod/db-1 {.spec.containers[0].image} = db:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {serviceName: db, replicas: 3, updateStrategy: {type: OnDelete}, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: main, image: "db:1.0"}]}}}\n' | k apply -f -; }
inject(){ k set image sts/db main=db:2.0-crash-exit2; sleep 12; k delete pod db-1 --now; }
main "$@"
