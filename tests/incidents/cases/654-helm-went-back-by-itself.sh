#!/bin/bash
# SOURCE: after reports of Helm – --atomic (--rollback-on-failure)
# FAULT: none that is left: an upgrade with a bad image failed, and Helm went back by itself
# BROKEN: no
# OUTCOME: nothing
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ chart atom; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'image: web:1.0\n' > $CH/values.yaml; h install rel $CH >/dev/null; ready deploy/web; }
inject(){ h upgrade rel $CH --set image=web:2.0-crash-exit3 --rollback-on-failure --wait --timeout 12s >/dev/null 2>&1; settled 2; }
main "$@"
