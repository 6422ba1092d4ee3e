#!/bin/bash
# SOURCE: own
# FAULT: kubectl edit gives a RoleBinding to an account of another name; the program may not take its lease any more
# NAMES: rolebinding/elector subjects
# NOT_BLAMED: deployment/elector role/elector
# OUTCOME: recovered
# WAIT: 16
# REST: role/elector
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: elector}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: elector}\nrules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: elector}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: elector}\nsubjects: [{kind: ServiceAccount, name: elector}]\n---\n'; P='      serviceAccountName: elector' app elector registry.local/elector:1 2; } | k apply -f -; }
inject(){ k patch rolebinding elector --field-manager=kubectl-edit --type=json -p '[{"op":"replace","path":"/subjects/0/name","value":"elector-v2"}]'; sleep 2; k label role elector reviewed=yes; brk deployment/elector crash "error retrieving resource lock: leases.coordination.k8s.io elector is forbidden: User system:serviceaccount:$NS:elector cannot get resource leases in API group coordination.k8s.io in the namespace $NS"; }
cured(){ [ "$(k get rolebinding elector -o jsonpath='{.subjects[0].name}')" = elector ]; }
mend(){ mendd deployment/elector; }
main "$@"
