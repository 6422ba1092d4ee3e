#!/bin/bash
# SOURCE: own, after https://github.com/helm/helm/issues/7126 – an upgrade that the server refuses in the middle
# FAULT: an upgrade changes the image (bad) and the selector of another Deployment, which is immutable: one is applied, the other refused
# NAMES: helm/pair image 2.0-crash-exit3
# OUTCOME: recovered
# NOT_BLAMED: deployment/outsider
# REST: deployment/outsider
. "$(dirname "$0")/../lib.sh"
baseline(){ chart pair; dep alpha '{{ .Values.image }}' > $CH/templates/a.yaml; dep zulu zulu:1.0 1 | sed 's/app: zulu/app: {{ .Values.sel }}/g' > $CH/templates/z.yaml; printf 'image: alpha:1.0\nsel: zulu\n' > $CH/values.yaml; h install pair $CH >/dev/null; dep outsider out:1.0 1 | k apply -f -; }
inject(){ h upgrade pair $CH --set image=alpha:2.0-crash-exit3,sel=zulu2 >/dev/null 2>&1; k label deploy outsider seen=yes; }
main "$@"
