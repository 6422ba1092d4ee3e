#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – service_port_conflict
# FAULT: deleted and applied anew with a port of the node that other pods have on all nodes (Helm release)
# NAMES: deployment/recommendation hostPort|ports kubectl*
# NOT_BLAMED: daemonset/node-agent "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: node-agent}\nspec: {selector: {matchLabels: {app: na}}, template: {metadata: {labels: {app: na}}, spec: {containers: [{name: a, image: "registry.local/agent:1", ports: [{containerPort: 39100, hostPort: 39100}]}]}}}\n' | k apply -f -; }
inject(){ reapply recommendation "c['ports'][0]['hostPort']=39100"; }
main "$@"
