#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – operator_overload_replicas (as a Deployment)
# FAULT: kubectl scales a Deployment of a Helm release far beyond what the nodes have room for
# NAMES: deployment/tidb replicas|scale*
# NOT_BLAMED: "helm/db went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'services:\n  tidb: {image: "registry.local/tidb:7.5", replicas: 2, container: {resources: {requests: {memory: 20Gi}}}}\n  pd: {image: "registry.local/pd:7.5"}\n' | up db; }
inject(){ k rollout restart deploy/pd; settled 1; k scale deploy tidb --replicas=40; }
main "$@"
