#!/bin/bash
# SOURCE: own
# FAULT: none: a DaemonSet was split in two on purpose, one for each kind of node; and a node that is tainted now has no pod of a third one, whose template was changed in nothing that matters
# BROKEN: no
# OUTCOME: nothing
# ALONE: yes
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
ds(){ printf -- '---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: %s}\nspec: {selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}, annotations: {v: "%s"}}, spec: {%s containers: [{name: main, image: "registry.local/%s"}]}}}\n' $1 $1 $1 $4 "$2" $3; }
baseline(){ kc label node node-2 gpu-$NS=yes --overwrite; { ds agent '' agent:1.0 a; ds other '' other:1.0 a; } | k apply -f -; ready ds/agent; ready ds/other; }
inject(){ { ds agent "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: gpu-$NS, operator: DoesNotExist}]}]}}}," agent:1.0 a; ds agent-gpu "nodeSelector: {gpu-$NS: \"yes\"}," agent:1.0-gpu a; ds other '' other:1.0 b; } | k apply -f -; ready ds/agent; ready ds/agent-gpu; ready ds/other; kc taint node node-2 work-$NS=now:NoExecute --overwrite; sleep 1; kc taint node node-2 work-$NS-; kc taint node node-1 work-$NS=now:NoSchedule; }
cleanup(){ kc label node node-2 gpu-$NS-; kc taint node node-1 work-$NS-; }
main "$@"
