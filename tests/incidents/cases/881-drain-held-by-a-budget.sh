#!/bin/bash
# SOURCE: after https://github.com/jordigilh/kubernaut-demo-scenarios – pdb-deadlock, as it is no fault of the program
# FAULT: none of the programs: a node is being drained for maintenance, and a disruption budget holds one pod there; all pods serve
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
baseline(){ { app vote registry.local/vote:1 2; app free registry.local/free:1 2; printf -- '---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: vote}\nspec: {minAvailable: 2, selector: {matchLabels: {app: vote}}}\n'; } | k apply -f -; }
inject(){ k set env deploy/free MODE=x; settled 1; timeout 12 "$KUBECTL" --context "$CTX" drain node-2 --ignore-daemonsets --pod-selector="app in (vote,free)" --timeout=8s; sleep 5; }
cleanup(){ kc uncordon node-2; }
main "$@"
