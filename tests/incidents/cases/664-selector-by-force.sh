#!/bin/bash
# SOURCE: after reports of Helm – spec.selector is immutable
# FAULT: the chart changed the Deployment's selector; it was deleted and upgraded, with a bad image: the way back is refused in place, too
# NAMES: helm/rel image|selector
# OUTCOME: approval|refused
# APPROVE: recreate|deletes
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart sel; dep web '{{ .Values.image }}' | sed 's/{app: web}/{app: web, part: "{{ .Values.part }}"}/' > $CH/templates/d.yaml; printf 'image: web:1.0\npart: a\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3,part=b >/dev/null 2>&1; k delete deploy web >/dev/null; h upgrade rel $CH --set image=web:2.0-crash-exit3,part=b >/dev/null; }
main "$@"
