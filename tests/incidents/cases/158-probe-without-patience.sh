#!/bin/bash
# SOURCE: labs – liveness probe that begins too early (HolmesGPT 77)
# FAULT: helm upgrade adds a liveness probe that gives up before the program has begun to answer
# NAMES: helm/rel livenessProbe
# OUTCOME: recovered
# WAIT: 30
. "$(dirname "$0")/../lib.sh"
baseline(){ chart probe; dep web registry.local/web:1.0-slow15s 1 | sed 's/ports: \[{containerPort: 8080}\]/ports: [{containerPort: 8080}]{{ if .Values.probe }}, livenessProbe: {httpGet: {path: \/healthz, port: 8080}, periodSeconds: 1, failureThreshold: 3}{{ end }}/' > $CH/templates/d.yaml; printf 'probe: false\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set probe=true >/dev/null; }
main "$@"
