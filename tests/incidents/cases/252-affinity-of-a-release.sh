#!/bin/bash
# SOURCE: own
# FAULT: helm upgrade adds a node affinity that no node has, and an env variable
# NAMES: helm/geo affinity
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  tiles: {image: "registry.local/tiles:1", replicas: 2, container: {env: [{name: ZOOM, value: "%s"}]}, pod: {%s}}\n' "$1" "$2"; }
baseline(){ v 1 '' | h upgrade -i geo $CHART -f - >/dev/null; }
inject(){ v 2 'affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [moon]}]}]}}}' | h upgrade geo $CHART -f - >/dev/null; }
main "$@"
