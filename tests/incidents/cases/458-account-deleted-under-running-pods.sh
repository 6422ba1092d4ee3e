#!/bin/bash
# SOURCE: own; kubernetes.io/docs/concepts/security/service-accounts – tokens are bound to the uid of their account
# FAULT: a ServiceAccount is deleted; one pod is evicted since and can't be made again, the others run on with a token of the account that is gone
# NAMES: serviceaccount/agent
# NOT_BLAMED: deployment/agent
# OUTCOME: recovered
# WAIT: 12
# KEPT: deployment/agent same
# LEFT: serviceaccount/agent exists
# LEFT: pods app=agent replaced
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: agent}\nimagePullSecrets: [{name: regcred}]\n'; P='      serviceAccountName: agent' app agent registry.local/agent:1 3; } | k apply -f - ; }
inject(){ k delete serviceaccount agent; k delete "$(k get pods -l app=agent -o name | head -1)" --wait=false; }
main "$@"
