#!/bin/bash
# SOURCE: own
# FAULT: one person sets a variable of one Deployment of a release, another one the target port of a Service of it
# NAMES: deployment/quote kubectl* MODE
# NAMES: service/mail targetPort|9090
# NOT_BLAMED: "helm/shop went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'services:\n  quote: {image: "registry.local/quote:1", replicas: 2}\n  mail: {image: "registry.local/mail:1", replicas: 2}\n' | h upgrade -i shop $CHART -f - >/dev/null; }
inject(){ k set env deploy/quote MODE=turbo; brkrev quote crash; sleep 6; k patch svc mail --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":9090}]'; }
main "$@"
