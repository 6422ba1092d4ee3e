#!/bin/bash
# SOURCE: own
# FAULT: a person asks for local disk beyond any node for a Deployment that recreates its pods; the same person scaled another one before
# NAMES: deployment/renderer ephemeral-storage|resources*
# NOT_BLAMED: deployment/thumbnails
# OUTCOME: recovered
# REST: deployment/thumbnails.spec.replicas
. "$(dirname "$0")/../lib.sh"
baseline(){ { app renderer registry.local/render:1 2 | sed 's/^  replicas: 2/  replicas: 2\n  strategy: {type: Recreate}/'; app thumbnails registry.local/thumbs:1 1; } | k apply -f -; }
inject(){ k scale deploy thumbnails --replicas=2; sleep 3; k patch deploy renderer --field-manager=kubectl-edit -p '{"spec":{"template":{"spec":{"containers":[{"name":"renderer","resources":{"requests":{"ephemeral-storage":"4Ti"}}}]}}}}'; }
main "$@"
