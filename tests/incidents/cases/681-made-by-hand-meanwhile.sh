#!/bin/bash
# SOURCE: https://github.com/helm/helm/issues/12436 – what the upgrade dropped was made anew by hand
# FAULT: an upgrade drops a ConfigMap and brings a bad image; somebody makes the ConfigMap by hand, with other content, for a reader of his
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval|refused
# APPROVE: takeover|unknown-base
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart hand; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf '{{- if .Values.conf }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {mode: chart}\n{{- end }}\n' > $CH/templates/c.yaml; printf 'image: web:1.0\nconf: true\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3,conf=false >/dev/null; sleep 2; k create configmap conf --from-literal=mode=hand; }
main "$@"
