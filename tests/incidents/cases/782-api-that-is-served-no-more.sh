#!/bin/bash
# SOURCE: own, after SREGym and notes of Kubernetes' removals – an upgrade of the cluster took an API
# FAULT: a controller asks for an API that the cluster serves no more, and exits; its Role got one verb more, and a neighbour a new image, before
# NOT_BLAMED: role/reaper deployment/reaper deployment/shower
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
role(){ printf 'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reaper}\nrules: [{apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [%s]}]\n' "$1" | k apply -f -; }
baseline(){ role 'get, list'; printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reaper}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: reaper}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reaper}\nsubjects: [{kind: ServiceAccount, name: reaper}]\n' | k apply -f -; { P='      serviceAccountName: reaper' app reaper registry.local/reaper:0.9 1; app shower registry.local/shower:1; } | k apply -f -; }
inject(){ role 'get, list, watch'; k set image deploy/shower shower=registry.local/shower:2; settled 1; sleep 30; brk deployment/reaper crash 'no matches for kind PodDisruptionBudget in version policy/v1beta1: the server could not find the requested resource'; }
main "$@"
