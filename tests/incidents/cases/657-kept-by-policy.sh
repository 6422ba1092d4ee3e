#!/bin/bash
# SOURCE: https://github.com/helm/helm/pull/8683, https://github.com/helm/helm/pull/9068 – helm.sh/resource-policy: keep, and the way back
# FAULT: an upgrade leaves out a claim that is kept by policy, and brings a bad image
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval
# APPROVE: takeover
# KEPT: persistentvolumeclaim/data same
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# REST: persistentvolumeclaim/data
. "$(dirname "$0")/../lib.sh"
baseline(){ chart keep; dep web '{{ .Values.image }}' 1 > $CH/templates/d.yaml; printf '{{- if .Values.store }}\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, annotations: {helm.sh/resource-policy: keep}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n{{- end }}\n' > $CH/templates/p.yaml; printf 'image: web:1.0\nstore: true\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3,store=false >/dev/null; }
main "$@"
