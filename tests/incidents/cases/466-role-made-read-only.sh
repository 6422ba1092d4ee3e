#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – finalizer_deadlock_controller (as a Role)
# FAULT: a Role lost the verbs that a controller needs: it exits and says what it may not do
# NAMES: role/tenant-controller rules|verbs
# NOT_BLAMED: deployment/tenant-controller
# OUTCOME: recovered
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: tc}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: tenant-controller}\nrules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, patch, update]}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: tc}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant-controller}\nsubjects: [{kind: ServiceAccount, name: tc}]\n'; P='      serviceAccountName: tc' app tenant-controller registry.local/tc:1; } | k apply -f -; }
inject(){ api patch role tenant-controller --type json -p '[{"op":"replace","path":"/rules/0/verbs","value":["get","list","watch"]}]'; sleep 1; brk deployment/tenant-controller crash "configmaps route is forbidden: User system:serviceaccount:$NS:tc cannot patch resource configmaps in API group  in the namespace $NS"; }
cured(){ k get role tenant-controller -o yaml | grep -q patch; }
mend(){ mendd deployment/tenant-controller; }
main "$@"
