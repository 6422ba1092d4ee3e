#!/bin/bash
# SOURCE: after reports of Kubernetes – a DaemonSet that updates on deletion
# FAULT: kubectl set image of an OnDelete DaemonSet; the pod of one node is made anew and its image does not exist
# NAMES: daemonset/agent image 2.0-missing
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {updateStrategy: {type: OnDelete}, selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: main, image: "agent:1.0"}]}}}\n' | k apply -f -; }
inject(){ k set image ds/agent main=agent:2.0-missing; sleep 6; k delete $(k get pods -l app=agent --field-selector spec.nodeName=node-1 -o name | head -1) --now; }
check(){ for p in $(k get pods -l app=agent -o jsonpath='{.items[*].spec.containers[0].image}'); do [ "$p" = agent:1.0 ] || { echo "a pod has $p"; return 1; }; done; }
main "$@"
