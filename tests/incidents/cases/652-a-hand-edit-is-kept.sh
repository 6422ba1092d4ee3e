#!/bin/bash
# SOURCE: after reports of Helm – what a rollback does to what others added
# FAULT: a variable was added by hand long ago and is well; then an upgrade brings a bad image
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval
# APPROVE: takeover
# KEPT: deployment/web {.spec.template.spec.containers[0].env[?(@.name=="LOG")].value} = debug
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart kept; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; ready deploy/web; k set env deploy/web LOG=debug; ready deploy/web; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; }
main "$@"
