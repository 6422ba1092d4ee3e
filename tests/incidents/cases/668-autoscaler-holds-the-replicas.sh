#!/bin/bash
# SOURCE: after reports of Helm and Argo CD – an autoscaler and the chart both say replicas
# FAULT: an autoscaler has scaled to 5 what the chart gives no replicas; then an upgrade brings a bad image
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered
# KEPT: deployment/web {.spec.replicas} = 5
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart hpa; dep web '{{ .Values.image }}' | sed '/^  replicas:/d' > $CH/templates/d.yaml; printf 'apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {minReplicas: 2, maxReplicas: 8, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n' > $CH/templates/h.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; k scale deploy web --replicas=5; ready deploy/web; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; }
main "$@"
