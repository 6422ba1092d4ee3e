#!/bin/bash
# FAULT: an upgrade brings an image of a broker that crashes; two programs beside the release can't do without it and crash, too, ever more rarely
# NAMES: helm/broker image 2.0-crash-exit3
# NOT_BLAMED: deployment/billing
# NOT_BLAMED: deployment/mailer
# OUTCOME: recovered
# KEPT: deployment/billing same
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
baseline(){ chart broker; dep broker '{{ .Values.image }}' 1 | sed 's/^  replicas: 1/  replicas: 1\n  strategy: {type: Recreate}/' > $CH/templates/d.yaml; printf 'image: broker:1.0\n' > $CH/values.yaml; h install broker $CH >/dev/null; { dep billing billing:1.0 1; echo ---; dep mailer mailer:1.0 1; } | k apply -f - >/dev/null; }
inject(){ h upgrade broker $CH --set image=broker:2.0-crash-exit3 >/dev/null; sleep 15; brk deployment/billing crash; brk deployment/mailer crash; }
cured(){ [ "$(k get deploy broker -o jsonpath='{.spec.template.spec.containers[0].image}')" = broker:1.0 ] && serves deploy/broker; }
mend(){ mendd deployment/billing deployment/mailer; }
main "$@"
