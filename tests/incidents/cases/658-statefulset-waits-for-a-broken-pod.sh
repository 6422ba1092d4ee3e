#!/bin/bash
# SOURCE: https://github.com/kubernetes/kubernetes/issues/67250
# FAULT: an upgrade of an ordered StatefulSet to an image that never gets ready; a pod disruption budget allows none to go
# NAMES: helm/rel image 2.0-unready
# OUTCOME: recovered
# LEFT: statefulset/db {.spec.template.spec.containers[0].image} = registry.local/db:1.0
# LEFT: pod/db-2 {.spec.containers[0].image} = registry.local/db:1.0
# KEPT: pod/db-0 same
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'services:\n  db: {kind: StatefulSet, image: "registry.local/db:1.0", replicas: 3, port: 5432}\n' | h upgrade -i rel $CHART -f - >/dev/null; printf 'apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: db}\nspec: {minAvailable: 3, selector: {matchLabels: {app: db}}}\n' | k apply -f -; }
inject(){ printf 'services:\n  db: {kind: StatefulSet, image: "registry.local/db:2.0-unready", replicas: 3, port: 5432}\n' | h upgrade -i rel $CHART -f - >/dev/null; }
main "$@"
