#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 45: hanging-kubernetes-workload-init-container
# FAULT: a program adds an init container that never ends to a Deployment of a Helm release and deletes its pods
# NAMES: deployment/email initContainers|hang*
# NOT_BLAMED: "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 26
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy '  email: {image: "registry.local/email:2.0.2"}' | up astronomy; settled 1; }
inject(){ api patch deploy email -p '{"spec":{"template":{"spec":{"initContainers":[{"name":"hanging-init","image":"busybox:1.36","command":["sh","-c","sleep infinity"]}]}}}}'; k delete pod -l app=email --wait=false; }
main "$@"
