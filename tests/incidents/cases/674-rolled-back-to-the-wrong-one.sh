#!/bin/bash
# SOURCE: after reports of Helm – a rollback to a revision that never worked
# FAULT: a colleague rolls a healthy release back to its first revision, whose image crashes
# NAMES: helm/rel image 1.0-crash-exit3
# OUTCOME: recovered
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.1
. "$(dirname "$0")/../lib.sh"
baseline(){ chart wrong; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'image: web:1.0-crash-exit3\n' > $CH/values.yaml; h install rel $CH >/dev/null; sleep 3; h upgrade rel $CH --set image=web:1.1 >/dev/null; ready deploy/web; }
inject(){ h rollback rel 1 >/dev/null; }
main "$@"
