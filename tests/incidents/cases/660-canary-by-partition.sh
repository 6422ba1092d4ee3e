#!/bin/bash
# SOURCE: after reports of Kubernetes – a canary by partition
# FAULT: kubectl set image of a StatefulSet whose partition lets one pod go on: it crashes
# NAMES: statefulset/db image 2.0-crash-exit2
# OUTCOME: recovered
# KEPT: pod/db-0 same
# KEPT: pod/db-1 same
# KEPT: statefulset/db {.spec.updateStrategy.rollingUpdate.partition} = 2
# LEFT: pod/db-2 {.spec.containers[0].image} = db:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {serviceName: db, replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: main, image: "db:1.0"}]}}}\n' | k apply -f -; }
inject(){ k set image sts/db main=db:2.0-crash-exit2; }
main "$@"
