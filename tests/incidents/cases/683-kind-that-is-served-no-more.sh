#!/bin/bash
# SOURCE: after reports of Helm – no matches for kind: the older revision has what the cluster serves no more
# FAULT: a custom resource and its definition went away with an upgrade, which brings a bad image: the older revision can't be built any more
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: refused|stopped
# TOLD: serve*|definition
. "$(dirname "$0")/../lib.sh"
D=gauges.metrics.example.org
crd(){ printf 'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: %s}\nspec: {group: metrics.example.org, scope: Namespaced, names: {kind: Gauge, plural: gauges, singular: gauge, listKind: GaugeList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n' $D; }
baseline(){ crd | kc apply -f - >/dev/null; sleep 2; chart served; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf '{{- if .Values.gauge }}\napiVersion: metrics.example.org/v1\nkind: Gauge\nmetadata: {name: web}\nspec: {of: web}\n{{- end }}\n' > $CH/templates/g.yaml; printf 'image: web:1.0\ngauge: true\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3,gauge=false >/dev/null; kc delete crd $D >/dev/null; }
cleanup(){ kc delete crd $D --ignore-not-found; }
main "$@"
