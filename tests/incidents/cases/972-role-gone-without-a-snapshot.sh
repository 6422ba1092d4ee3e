#!/bin/bash
# SOURCE: own, after SREGym – rights, without a snapshot
# FAULT: a Role of nobody's is deleted; its binding still names it, and the program is not allowed to list any more; an innocent variable before; no snapshot: nobody knows what the Role said
# NAMES: role/lookout
# NOT_BLAMED: deployment/lookout
# OUTCOME: refused
# SNAP: no
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: lookout}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: lookout}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: lookout}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lookout}\nsubjects: [{kind: ServiceAccount, name: lookout}]\n' | k apply -f -; P='      serviceAccountName: lookout' app lookout registry.local/lookout:1 1 | k apply -f -; }
inject(){ k set env deploy/lookout A=b; settled 1; sleep 30; k delete role lookout; brk deployment/lookout crash "pods is forbidden: User \\\"system:serviceaccount:$NS:lookout\\\" cannot list resource \\\"pods\\\" in API group \\\"\\\" in the namespace"; }
main "$@"
