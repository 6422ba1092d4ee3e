#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – unschedulable_incorrect_port_assignment
# FAULT: a program patches a wrong address, then a nodeSelector of no node: no pod comes to run that could show the first
# NAMES: deployment/checkout nodeSelector
# NOT_BLAMED: "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# LEFT: deployment/checkout baseline
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ api patch deploy checkout -p '{"spec":{"template":{"spec":{"containers":[{"name":"checkout","env":[{"name":"PRODUCT_CATALOG_ADDR","value":"product-catalog:8082"}]}]}}}}'; api patch deploy checkout -p '{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":"extra-node"}}}}}'; }
main "$@"
