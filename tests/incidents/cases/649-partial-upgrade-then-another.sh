#!/bin/bash
# SOURCE: own, after reports of Helm – an upgrade that was stopped half-way, and a second one over it
# FAULT: an upgrade that the server refuses in the middle has applied a bad image; a second one, meant to help, changes the command as well: it is applied and crashes, too
# NAMES: helm/duo image|command 2.0*|"--fast"|run
# OUTCOME: recovered
# LEFT: deployment/alpha {.spec.template.spec.containers[0].image} = alpha:1.0
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ chart duo; dep alpha '{{ .Values.image }}' | sed 's/- {name: main,/- {name: main, args: ["{{ .Values.mode }}"],/' > $CH/templates/a.yaml; dep zulu zulu:1.0 1 | sed 's/app: zulu/app: {{ .Values.sel }}/g' > $CH/templates/z.yaml; printf 'image: alpha:1.0\nsel: zulu\nmode: run\n' > $CH/values.yaml; h install duo $CH >/dev/null; }
inject(){ h upgrade duo $CH --set image=alpha:2.0-crash-exit3,sel=zulu2 >/dev/null 2>&1; sleep 6; h upgrade duo $CH --set image=alpha:2.1-crash-exit4,mode=--fast >/dev/null 2>&1; }
main "$@"
