#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 14_pending_resources
# FAULT: kubectl patch lets the pods ask for a GPU; no node has one. A good scale-up of another program before
# NAMES: deployment/profiles nvidia*|gpu
# NOT_BLAMED: deployment/feed
# OUTCOME: recovered
# REST: deployment/feed
. "$(dirname "$0")/../lib.sh"
baseline(){ { app profiles registry.local/p:1 2; app feed registry.local/f:1 1; } | k apply -f -; }
inject(){ k scale deploy feed --replicas=2; k patch deploy profiles -p '{"spec":{"template":{"spec":{"containers":[{"name":"profiles","resources":{"limits":{"nvidia.com/gpu":"1"}}}]}}}}'; }
main "$@"
