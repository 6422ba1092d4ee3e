#!/bin/bash
# SOURCE: own, after k8sgpt's false alarms – pods that are over and stay listed
# FAULT: none: pods that were evicted, preempted, and ended by a node's shutdown stay listed beside their successors; a debug pod is complete; one restarted days ago
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
end(){ k patch $1 --subresource=status --type merge -p "{\"status\":{\"phase\":\"Failed\",\"reason\":\"$2\",\"message\":\"$3\"}}" >/dev/null; sleep 2; }
baseline(){ { app one registry.local/one:1 2; app two registry.local/two:1 2; } | k apply -f -; }
inject(){ k set env deploy/two A=b; settled 1; p(){ k get pod -l app=$1 --field-selector status.phase=Running -o name | head -1; }; end $(p one) Evicted 'The node was low on resource: memory.'; end $(p one) Preempting 'Preempted in order to admit critical pod'; end $(p two) Terminated 'Pod was terminated in response to imminent node shutdown.'; settled 1; printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: debug}\nspec: {restartPolicy: Never, containers: [{name: sh, image: "busybox:1-exit0"}]}\n' | k apply -f -; sleep 10; }
main "$@"
