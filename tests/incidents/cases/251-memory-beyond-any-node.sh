#!/bin/bash
# SOURCE: own
# FAULT: a request for memory beyond any node, set by kubectl on a Deployment that had an image change long enough ago
# NAMES: deployment/etl memory
# OUTCOME: recovered
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ C='        resources: {requests: {memory: 32Mi}}' app etl registry.local/etl:1 1 | k apply -f -; settled 2; k set image deploy/etl etl=registry.local/etl:2; }
inject(){ k set resources deploy/etl --requests=memory=900Gi; }
main "$@"
