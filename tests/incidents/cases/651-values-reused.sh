#!/bin/bash
# SOURCE: after reports of Helm – --reuse-values leaves out what the new chart asks for
# FAULT: an upgrade to a new chart with --reuse-values: its argument stays empty and the program ends; beside it somebody deploys another program
# NAMES: helm/rel args
# NOT_BLAMED: deployment/probe
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
baseline(){ chart reuse; dep web web:1.0 > $CH/templates/d.yaml; printf 'name: shop\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ printf 'name: shop\nport: 8080\n' > $CH/values.yaml; dep web web:1.0 | sed 's/- {name: main,/- {name: main, args: ["--port={{ .Values.port }}"],/' > $CH/templates/d.yaml; h upgrade rel $CH --reuse-values >/dev/null; brkrev web crash; app probe registry.local/probe:1 | sed 's/^  progress.*//' | k apply -f -; }
main "$@"
