#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – stuck-rollout, without a snapshot
# FAULT: kubectl set image to one that does not exist, no snapshot; another actor's fresh Deployment beside it
# NAMES: deployment/checkout image 99.99-missing
# NOT_BLAMED: deployment/fresh
# OUTCOME: recovered
# SNAP: no
# REST: deployment/fresh service/fresh
. "$(dirname "$0")/../lib.sh"
baseline(){ app checkout registry.local/checkout:1 3 | k apply -f -; }
inject(){ k set image deploy/checkout checkout=registry.local/checkout:99.99-missing; app fresh registry.local/fresh:1 | k apply -f -; }
main "$@"
