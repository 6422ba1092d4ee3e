#!/bin/bash
# SOURCE: own
# FAULT: an upgrade of a release narrows the node selector of its DaemonSet by a typo in a list; its pod on the other node goes, and everything is ready
# NAMES: helm/logs affinity*|nodeAffinity*
# OUTCOME: recovered
# ALONE: yes
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
baseline(){ kc label node node-1 logs-$NS=a --overwrite; kc label node node-2 logs-$NS=b --overwrite; chart logs; printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: logs-%s, operator: In, values: {{ .Values.zones | toJson }}}]}]}}}, containers: [{name: main, image: "agent:1.0"}]}}}\n' $NS > $CH/templates/d.yaml; printf 'zones: [a, b]\n' > $CH/values.yaml; h install logs $CH >/dev/null; ready ds/agent; }
inject(){ h upgrade logs $CH --set 'zones={a,c}' >/dev/null; }
cleanup(){ kc label node node-1 logs-$NS-; kc label node node-2 logs-$NS-; }
main "$@"
