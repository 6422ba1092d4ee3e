#!/bin/bash
# SOURCE: https://github.com/helm/helm/issues/31745, https://github.com/helm/helm/issues/7699, https://github.com/helm/helm/issues/5315 – whose it is now
# FAULT: a ConfigMap moved from one release to another (--take-ownership); then the first one gets a bad image: going back would take it from the other
# NAMES: helm/a image 2.0-crash-exit3
# NOT_BLAMED: helm/b
# OUTCOME: recovered|approval|refused
# APPROVE: owner|takeover
# KEPT: configmap/shared {.metadata.annotations.meta\.helm\.sh/release-name} = b
# KEPT: configmap/shared {.data.mode} = new
. "$(dirname "$0")/../lib.sh"
cm(){ printf '{{- if .Values.shared }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared, annotations: {helm.sh/resource-policy: keep}}\ndata: {mode: "%s"}\n{{- end }}\n' $1; }
baseline(){ chart a $W/a; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; cm old > $CH/templates/c.yaml; printf 'image: web:1.0\nshared: true\n' > $CH/values.yaml; h install a $CH >/dev/null; }
inject(){ h upgrade a $W/a --set image=web:2.0-crash-exit3,shared=false >/dev/null; chart b $W/b; cm new > $CH/templates/c.yaml; printf 'shared: true\n' > $CH/values.yaml; h install b $CH --take-ownership >/dev/null; }
main "$@"
