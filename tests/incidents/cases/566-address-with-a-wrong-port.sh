#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – incorrect_port_assignment
# FAULT: a program patches an address to a wrong port; the backend that is at the address was upgraded well before by somebody else
# NAMES: deployment/checkout PRODUCT_CATALOG_ADDR
# NOT_BLAMED: deployment/product-catalog "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ astronomy '  quote: {image: "registry.local/quote:2.0.2"}' | up astronomy; settled 1; k rollout restart deploy/product-catalog; settled 1; api patch deploy checkout -p '{"spec":{"template":{"spec":{"containers":[{"name":"checkout","env":[{"name":"PRODUCT_CATALOG_ADDR","value":"product-catalog:8082"}]}]}}}}'; shown checkout crash 'dial tcp product-catalog:8082: connect: connection refused'; }
main "$@"
