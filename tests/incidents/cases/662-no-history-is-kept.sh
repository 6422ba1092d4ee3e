#!/bin/bash
# SOURCE: after reports of Kubernetes – revisionHistoryLimit: 0
# FAULT: a Deployment that recreates its pods and keeps no old ReplicaSets gets a bad image; another program a good one
# NAMES: deployment/web image 2.0-crash-exit3
# NOT_BLAMED: deployment/other
# OUTCOME: recovered
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# REST: deployment/other
. "$(dirname "$0")/../lib.sh"
baseline(){ { dep web web:1.0 2 | sed 's/^  replicas: 2/  replicas: 2\n  revisionHistoryLimit: 0\n  strategy: {type: Recreate}/'; printf -- '---\n'; dep other other:1.0 2; } | k apply -f -; }
inject(){ k set image deploy/other main=other:1.1; settled 1; k set image deploy/web main=web:2.0-crash-exit3; }
main "$@"
