#!/bin/bash
# SOURCE: https://github.com/k8sgpt-ai/k8sgpt – Service analyzer: no endpoints (a named target port that no container has)
# FAULT: an upgrade renames the container's port; the Service still asks for the old name
# NAMES: helm/rel ports|http
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
baseline(){ chart named; dep web web:1.0 2 | sed 's/ports: \[{containerPort: 8080}\]/ports: [{name: "{{ .Values.port }}", containerPort: 8080}]/' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}\n' > $CH/templates/s.yaml; printf 'port: http\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set port=web >/dev/null; settled 2; }
main "$@"
