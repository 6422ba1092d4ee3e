#!/bin/bash
# FAULT: an immutable ConfigMap was deleted so that an upgrade could change it; the program does not start with the new one. Back, and the way back is taken back: both times the nodes see what is there
# NAMES: helm/press|configmap/layout
# NOT_BLAMED: configmap/other
# OUTCOME: recovered
# READY: no
# WRITES: others
# LIMIT: 150
# LEFT: configmap/layout {.data.mode} = wide
. "$(dirname "$0")/../lib.sh"
baseline(){ chart press; dep press press:1.0 2 | sed 's/- {name: main,/- {name: main, envFrom: [{configMapRef: {name: layout}}],/; s/metadata: {labels: {app: press}}/metadata: {labels: {app: press}, annotations: {mode: "{{ .Values.mode }}"}}/' > $CH/templates/d.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: layout}\nimmutable: true\ndata: {mode: "{{ .Values.mode }}"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\nimmutable: true\ndata: {mode: kept}\n' > $CH/templates/c.yaml; printf 'mode: narrow\n' > $CH/values.yaml; h install press $CH >/dev/null; }
inject(){ k delete cm layout >/dev/null; h upgrade press $CH --set mode=wide >/dev/null; brkrev press crash; }
act(){ bo run --yes helm/press --approve recreate; code=$?; k get cm layout -o jsonpath='{.data.mode}' > $W/between; bo undo --yes >/dev/null; return $code; }
check(){ [ "$(cat $W/between)" = narrow ] || { echo "after the run it was $(cat $W/between)"; return 1; }
[ "$(k get deploy press -o jsonpath='{.spec.replicas}')" = 2 ] || { echo "the undo left another number of pods"; return 3; }; }
main "$@"
