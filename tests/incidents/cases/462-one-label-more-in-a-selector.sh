#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – wrong_service_selector
# FAULT: a program adds a label to a Service's selector that no pod has; an innocent upgrade of the release before
# NAMES: service/frontend selector
# NOT_BLAMED: "helm/hotel went to revision" deployment/frontend
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ hotel '  search: {image: "registry.local/hotel:1.4", port: 8082}' | up hotel; settled 1; api patch svc frontend -p '{"spec":{"selector":{"current_service_name":"frontend"}}}'; }
main "$@"
