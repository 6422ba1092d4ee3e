#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 43: failing-name-resolution-kubernetes-workload-dns-policy
# FAULT: a program patches dnsPolicy Default into a Deployment of a Helm release of two good revisions: names of Services are not resolved
# NAMES: deployment/frontend dnsPolicy
# NOT_BLAMED: "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; settled 1; astronomy '  email: {image: "registry.local/email:2.0.2"}' | up astronomy; }
inject(){ api patch deploy frontend -p '{"spec":{"template":{"spec":{"dnsPolicy":"Default"}}}}'; shown frontend crash 'Error: getaddrinfo ENOTFOUND cart'; }
main "$@"
