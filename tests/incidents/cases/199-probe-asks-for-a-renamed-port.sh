#!/bin/bash
# FAULT: an upgrade renames the port of a container; its readiness probe goes on asking for the old name, so that no new pod gets ready
# NAMES: helm/quay ports
# NOT_BLAMED: configmap/notes
# OUTCOME: recovered
# WAIT: 25
. "$(dirname "$0")/../lib.sh"
baseline(){ chart quay; dep quay quay:1.0 2 | sed 's/ports: \[{containerPort: 8080}\]/ports: [{name: "{{ .Values.port }}", containerPort: 8080}], readinessProbe: {httpGet: {path: \/ok, port: http}, periodSeconds: 2, failureThreshold: 2}/; s/^  replicas: 2/  replicas: 2\n  progressDeadlineSeconds: 15/' > $CH/templates/d.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata: {port: "{{ .Values.port }}"}\n' > $CH/templates/c.yaml; printf 'port: http\n' > $CH/values.yaml; h install quay $CH >/dev/null; }
inject(){ h upgrade quay $CH --set port=web >/dev/null; }
main "$@"
