#!/bin/bash
# SOURCE: https://github.com/helm/helm/issues/3675 – ClusterIP to LoadBalancer and back: what the server added may not stay in the way
# FAULT: an upgrade makes a LoadBalancer of a Service and brings a bad image
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered
# LEFT: service/web {.spec.type} = ClusterIP
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart lb; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: "{{ .Values.type }}", selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}\n' > $CH/templates/s.yaml; printf 'image: web:1.0\ntype: ClusterIP\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3,type=LoadBalancer >/dev/null; }
main "$@"
