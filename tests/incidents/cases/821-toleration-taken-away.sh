#!/bin/bash
# SOURCE: own
# FAULT: somebody takes a toleration from a DaemonSet: its pod on the tainted node goes, nothing fails, and that node has no agent any more
# NAMES: daemonset/agent toleration*|tolerations
# OUTCOME: recovered
# ALONE: yes
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
ds(){ printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: agent}\nspec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {%s containers: [{name: main, image: "agent:1.0"}]}}}\n' "$1"; }
baseline(){ kc taint node node-2 pool=gpu:NoExecute --overwrite; ds 'tolerations: [{key: pool, operator: Exists}],' | k apply -f -; ready ds/agent; }
inject(){ k patch ds agent --type json -p '[{"op":"remove","path":"/spec/template/spec/tolerations"}]'; }
cleanup(){ kc taint node node-2 pool-; }
main "$@"
