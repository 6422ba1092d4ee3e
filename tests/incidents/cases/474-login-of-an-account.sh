#!/bin/bash
# SOURCE: own, after https://github.com/k8sgpt-ai/k8sgpt – images that are not pulled
# FAULT: a person takes the pull secret from a ServiceAccount; the pods of a StatefulSet that are made since may not pull; another account got a label
# NAMES: serviceaccount/puller imagePullSecrets
# NOT_BLAMED: statefulset/vault secret/regcred serviceaccount/other
# OUTCOME: recovered
# REST: serviceaccount/other
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
baseline(){ k create secret docker-registry regcred --docker-server=registry.local --docker-username=robot --docker-password=right; printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: puller}\nimagePullSecrets: [{name: regcred}]\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: vault}\nspec: {serviceName: vault, replicas: 2, selector: {matchLabels: {app: vault}}, template: {metadata: {labels: {app: vault}}, spec: {serviceAccountName: puller, containers: [{name: main, image: "registry.local/vault:1.9", imagePullPolicy: Always}]}}}\n' | k apply -f -; }
inject(){ k patch sa puller --type=json -p '[{"op":"remove","path":"/imagePullSecrets"}]'; k label sa other team=x; brk statefulset/vault denied; sleep 5; k delete pod vault-1 --now; }
cured(){ [ "$(k get sa puller -o jsonpath='{.imagePullSecrets[0].name}')" = regcred ]; }
mend(){ mendd statefulset/vault; }
main "$@"
