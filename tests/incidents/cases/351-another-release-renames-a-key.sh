#!/bin/bash
# SOURCE: own
# FAULT: one release renames a key of a ConfigMap that the Deployment of another release reads; its pod is replaced
# NAMES: helm/platform configmap/limits
# NOT_BLAMED: helm/shop
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
cm(){ printf 'configs: {limits: {%s: "5"}}\n' $1; }
baseline(){ cm MAX | h upgrade -i platform $CHART -f - >/dev/null; printf 'services:\n  api: {image: "registry.local/api:1", replicas: 2, container: {env: [{name: MAX, valueFrom: {configMapKeyRef: {name: limits, key: MAX}}}]}}\n' | h upgrade -i shop $CHART -f - >/dev/null; }
inject(){ cm MAXIMUM | h upgrade platform $CHART -f - >/dev/null; k delete pod -l app=api --wait=false; }
main "$@"
