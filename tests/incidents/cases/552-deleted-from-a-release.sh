#!/bin/bash
# SOURCE: own
# FAULT: a Deployment of a Helm release is deleted; its Service stays
# NAMES: deployment/cart "does not exist any more"
# NOT_BLAMED: "helm/store went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'services:\n  cart: {image: "registry.local/cart:1"}\n  till: {image: "registry.local/till:1"}\n' | h upgrade -i store $CHART -f - >/dev/null; }
inject(){ k delete deploy cart; }
main "$@"
