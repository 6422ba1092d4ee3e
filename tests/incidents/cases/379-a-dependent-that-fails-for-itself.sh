#!/bin/bash
# FAULT: an upgrade brings an image of a broker that crashes; a program beside it crashes, too, and goes on to once the broker is well: what follows from nothing that went back is told, and the end is not called healthy
# NAMES: helm/broker image 2.0-crash-exit3
# OUTCOME: stopped
# TOLD: deployment/billing
# MAY_FAIL: deployment/billing
# WAIT: 20
# LEFT: deployment/broker {.spec.template.spec.containers[0].image} = broker:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart broker; dep broker '{{ .Values.image }}' 1 | sed 's/^  replicas: 1/  replicas: 1\n  strategy: {type: Recreate}/' > $CH/templates/d.yaml; printf 'image: broker:1.0\n' > $CH/values.yaml; h install broker $CH >/dev/null; dep billing billing:1.0 1 | k apply -f - >/dev/null; }
inject(){ h upgrade broker $CH --set image=broker:2.0-crash-exit3 >/dev/null; sleep 15; brk deployment/billing crash; }
main "$@"
