#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 46: insufficient-kubernetes-workload-container-resources
# FAULT: a json patch of all requests and limits of a database to next to nothing; its two clients exit as well
# NAMES: deployment/mongodb-geo memory OpenAPI*
# NOT_BLAMED: deployment/geo "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ api patch deploy mongodb-geo --type json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/resources","value":{"requests":{"cpu":"5m","memory":"5Mi"},"limits":{"cpu":"5m","memory":"5Mi"}}},{"op":"add","path":"/spec/strategy","value":{"type":"Recreate"}}]'; shown mongodb-geo oom ''; sleep 2; brk deployment/geo crash 'mongodb-geo:27017: connection refused'; }
cured(){ [ "$(k get deploy mongodb-geo -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}')" = 256Mi ] && serves deploy/mongodb-geo; }
mend(){ mendd deployment/geo; }
main "$@"
