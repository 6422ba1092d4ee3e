#!/bin/bash
# SOURCE: after reports of rollbacks – the image of the good revision was cleaned away
# FAULT: a bad image by an upgrade that recreates the pods; the registry has the older image no more
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: stopped
# TOLD: image*|pull*
# LIMIT: 130
. "$(dirname "$0")/../lib.sh"
baseline(){ chart clean; dep web '{{ .Values.image }}' 2 | sed 's/^  replicas: 2/  replicas: 2\n  strategy: {type: Recreate}/' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; ready deploy/web; }
inject(){ local hash; hash=$(k get rs -l app=web -o jsonpath='{.items[0].metadata.labels.pod-template-hash}'); h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; sleep 6; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-old", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: missing, namespace: "%s", selector: "pod-template-hash=%s"}\n' "$NS" "$NS" "$hash" | rule; }
main "$@"
