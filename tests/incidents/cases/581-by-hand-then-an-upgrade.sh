#!/bin/bash
# SOURCE: own, after reports of Helm – what a hand added outlives upgrades
# FAULT: a person ties a Deployment of a release to nodes that are not there; minutes later CI upgrades the release, innocently: the new pods wait as well
# NAMES: deployment/inventory nodeSelector
# NOT_BLAMED: "helm/stock went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# REST: deployment/inventory.spec.template.spec.containers
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  inventory: {image: "registry.local/inv:%s", replicas: 2}\n  audit: {image: "registry.local/audit:1"}\n' $1; }
baseline(){ v 1.0 | up stock; }
inject(){ k patch deploy inventory --field-manager=kubectl-edit -p '{"spec":{"template":{"spec":{"nodeSelector":{"disktype":"nvme"}}}}}'; sleep 20; v 1.1 | up stock; }
main "$@"
