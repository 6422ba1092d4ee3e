#!/bin/bash
# SOURCE: own
# FAULT: a Role of a Helm release loses a verb by kubectl edit, and no snapshot was ever taken; the release is named, and only the Role goes back
# NAMES: role/lister rules kubectl*
# NOT_BLAMED: deployment/lister
# OUTCOME: recovered
# RUN: helm/rbac
# SNAP: no
# WAIT: 15
# KEPT: deployment/lister same
. "$(dirname "$0")/../lib.sh"
baseline(){ chart rbac; P='      serviceAccountName: lister' app lister registry.local/lister:1 2 > "$CH/templates/app.yaml"
printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: lister}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: lister}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: lister}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lister}\nsubjects: [{kind: ServiceAccount, name: lister}]\n' > "$CH/templates/rbac.yaml"
h upgrade -i rbac "$CH" >/dev/null; }
inject(){ k patch role lister --field-manager=kubectl-edit --type=json -p '[{"op":"replace","path":"/rules/0/verbs","value":["get"]}]'; brk deployment/lister crash "pods is forbidden: User \\\"system:serviceaccount:$NS:lister\\\" cannot list resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"$NS\\\""; }
cured(){ k get role lister -o jsonpath='{.rules[0].verbs}' | grep -q list; }
mend(){ mendd deployment/lister; }
main "$@"
