#!/bin/bash
# SOURCE: own, after reports of Kubernetes – immutable ConfigMaps
# FAULT: an immutable ConfigMap is deleted and created again with other content by a pipeline; the pods of a DaemonSet that are made anew do not start with it
# NAMES: configmap/collector-v3
# NOT_BLAMED: daemonset/collector
# OUTCOME: approval|recovered
# APPROVE: recreate|deletes|takeover
# LEFT: configmap/collector-v3 {.data.level} = info
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
cm(){ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: collector-v3}\nimmutable: true\ndata: {level: %s, sinks: "a"}\n' $1; }
baseline(){ { cm info; printf -- '---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: collector}\nspec: {selector: {matchLabels: {app: collector}}, template: {metadata: {labels: {app: collector}}, spec: {containers: [{name: main, image: "registry.local/collector:3", envFrom: [{configMapRef: {name: collector-v3}}]}]}}}\n'; } | k apply -f -; }
inject(){ k delete cm collector-v3; cm verbosee | k create --field-manager=ci-deployer -f -; sleep 2; brk daemonset/collector crash 'Error: invalid value for level: verbosee (want debug, info, warn)'; k delete pods -l app=collector --wait=false; }
cured(){ [ "$(k get cm collector-v3 -o jsonpath='{.data.level}')" = info ]; }
mend(){ mendd daemonset/collector; }
main "$@"
