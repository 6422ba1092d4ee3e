#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 58: scaled-to-zero-kubernetes-workload (of a StatefulSet)
# FAULT: kubectl scales a StatefulSet of a Helm release to 0; who calls it exits; one of them got an innocent image before
# NAMES: statefulset/kafka replicas|scale*
# NOT_BLAMED: deployment/checkout deployment/accounting "helm/shop went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# REST: deployment/checkout.spec
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  kafka: {kind: StatefulSet, image: "registry.local/kafka:2.0", port: 9092, replicas: 2}\n  checkout: {image: "registry.local/checkout:2.0"}\n  accounting: {image: "registry.local/accounting:2.0"}\n'; }
baseline(){ v | up shop; }
inject(){ k set image deploy/checkout checkout=registry.local/checkout:2.0.1; settled 1; sleep 14; k scale sts kafka --replicas=0; sleep 2; brk deployment/checkout crash 'dial tcp kafka:9092: connect: connection refused'; brk deployment/accounting crash 'kafka:9092: connection refused'; }
cured(){ serves sts/kafka; }
mend(){ mendd deployment/checkout deployment/accounting; }
main "$@"
