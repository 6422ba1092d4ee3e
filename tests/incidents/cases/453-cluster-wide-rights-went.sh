#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 81_service_account_permission_denied, cluster wide
# FAULT: a ClusterRoleBinding that no release owns is deleted; the program may not list nodes any more and exits; a good image before
# NOT_BLAMED: deployment/scaler
# MAY_BLAME: clusterrolebinding* clusterrole*
# OUTCOME: nothing
# TOLD: rights|"may not"|forbidden|clusterrolebinding*
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: scaler}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: scaler-%s}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{kind: ServiceAccount, name: scaler, namespace: %s}]\n' $NS $NS | k apply -f -; P='      serviceAccountName: scaler' app scaler registry.local/scaler:1 1 | k apply -f -; }
inject(){ k set image deploy/scaler scaler=registry.local/scaler:1.1; settled 1; sleep 40; kc delete clusterrolebinding scaler-$NS; brk deployment/scaler crash "nodes is forbidden: User system:serviceaccount:$NS:scaler cannot list resource nodes in API group at the cluster scope"; }
cleanup(){ kc delete clusterrolebinding scaler-$NS --ignore-not-found; }
main "$@"
