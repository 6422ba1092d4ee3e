#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 76_service_discovery_issue
# FAULT: kubectl patch lets a Service select a version that no pod has; a good image of its program minutes before
# NAMES: service/backend selector
# NOT_BLAMED: deployment/backend
# OUTCOME: recovered
# REST: deployment/backend
. "$(dirname "$0")/../lib.sh"
baseline(){ { app backend registry.local/be:1 2 | sed 's/      labels: {app: backend}/      labels: {app: backend, version: v1}/; s/^  selector: {app: backend}/  selector: {app: backend, version: v1}/'; app frontend registry.local/fe:1; } | k apply -f -; }
inject(){ k set image deploy/backend backend=registry.local/be:1.1; settled 1; sleep 10; k patch svc backend -p '{"spec":{"selector":{"version":"v2"}}}'; }
main "$@"
