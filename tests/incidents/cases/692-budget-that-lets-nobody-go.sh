#!/bin/bash
# SOURCE: own
# FAULT: a StatefulSet gets an image that never gets ready; a PodDisruptionBudget lets no pod be evicted
# NAMES: statefulset/quorum image 3.6-unready
# OUTCOME: recovered
# KEPT: statefulset/quorum same
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: quorum}\nspec: {maxUnavailable: 0, selector: {matchLabels: {app: quorum}}}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: quorum}\nspec: {serviceName: quorum, replicas: 3, selector: {matchLabels: {app: quorum}}, template: {metadata: {labels: {app: quorum}}, spec: {containers: [{name: main, image: "registry.local/etcd:3.5", ports: [{containerPort: 2379}], readinessProbe: {httpGet: {path: /health, port: 2379}, periodSeconds: 2}}]}}}\n' | k apply -f -; }
inject(){ k set image sts/quorum main=registry.local/etcd:3.6-unready; }
check(){ k get pdb quorum >/dev/null || return 3; }
main "$@"
