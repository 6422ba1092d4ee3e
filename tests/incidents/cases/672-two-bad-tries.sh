#!/bin/bash
# SOURCE: after reports of Helm – the revision before is bad as well
# FAULT: a bad image; the hurried fix names an image that does not exist; good is what was before both
# NAMES: helm/rel image
# OUTCOME: recovered
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.1
. "$(dirname "$0")/../lib.sh"
baseline(){ chart tries; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; ready deploy/web; h upgrade rel $CH --set image=web:1.1 >/dev/null; ready deploy/web; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 >/dev/null; sleep 8; h upgrade rel $CH --set image=web:2.0.1-missing >/dev/null; }
main "$@"
