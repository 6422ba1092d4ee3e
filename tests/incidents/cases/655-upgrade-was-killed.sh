#!/bin/bash
# SOURCE: after reports of Helm – another operation is in progress
# FAULT: helm upgrade --wait with a bad image was killed: pending-upgrade, and nobody is at work
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval
# APPROVE: maybe-running|pending
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
baseline(){ chart pend; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ timeout -s KILL 6 "$HELM" --kube-context "$CTX" -n "$NS" upgrade rel $CH --set image=web:2.0-crash-exit3 --wait --timeout 90s >/dev/null 2>&1; true; }
main "$@"
