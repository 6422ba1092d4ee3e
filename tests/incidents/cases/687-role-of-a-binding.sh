#!/bin/bash
# SOURCE: after reports of Helm – roleRef is immutable
# FAULT: a RoleBinding was deleted so that an upgrade could give it another role; the program may not list pods since: the way back is refused in place, too
# NAMES: helm/rel|rolebinding/web roleRef|role*
# NOT_BLAMED: deployment/other
# OUTCOME: approval|recovered
# APPROVE: recreate|deletes
# REST: deployment/other.labels
# LEFT: rolebinding/web {.roleRef.name} = reader
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ chart role; dep web web:1.0 2 | sed 's/^    spec:/    spec:\n      serviceAccountName: web/' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: nothing}\nrules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: web}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "{{ .Values.role }}"}\nsubjects: [{kind: ServiceAccount, name: web}]\n' > $CH/templates/r.yaml; printf 'role: reader\n' > $CH/values.yaml; h install rel $CH >/dev/null; dep other other:1 1 | k apply -f -; }
inject(){ k label deploy other seen=yes; k delete rolebinding web >/dev/null; h upgrade rel $CH --set role=nothing >/dev/null; sleep 1; brk deployment/web crash "pods is forbidden: User 'system:serviceaccount:$NS:web' cannot list resource 'pods' in API group '' in the namespace '$NS'"; }
cured(){ [ "$(k get rolebinding web -o jsonpath='{.roleRef.name}')" = reader ]; }
mend(){ mendd deployment/web; }
main "$@"
