#!/bin/bash
# SOURCE: after reports of Helm – what leaves a chart is deleted, whoever reads it
# FAULT: an upgrade of one release drops a ConfigMap that a Deployment of nobody's reads; its pods are made anew
# NAMES: helm/base|configmap/shared
# NOT_BLAMED: deployment/reader
# OUTCOME: recovered|approval
# APPROVE: takeover
# LEFT: configmap/shared exists
# REST: deployment/reader.annotations
. "$(dirname "$0")/../lib.sh"
baseline(){ chart base; printf '{{- if .Values.shared }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {REGION: eu}\n{{- end }}\n' > $CH/templates/c.yaml; dep api api:1.0 1 > $CH/templates/d.yaml; printf 'shared: true\n' > $CH/values.yaml; h install base $CH >/dev/null; dep reader reader:1.0 2 | sed 's/- {name: main,/- {name: main, envFrom: [{configMapRef: {name: shared}}],/' | k apply -f -; }
inject(){ k annotate deploy reader seen=yes; h upgrade base $CH --set shared=false >/dev/null; sleep 3; k delete pods -l app=reader --now >/dev/null; }
main "$@"
