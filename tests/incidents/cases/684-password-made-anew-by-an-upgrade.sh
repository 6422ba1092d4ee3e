#!/bin/bash
# SOURCE: after reports of Helm – randAlphaNum makes another password with every upgrade
# FAULT: an upgrade that was to change nothing makes another password; the program is refused by its database since
# NAMES: helm/rel secret/db
# NOT_BLAMED: deployment/report
# OUTCOME: recovered
# REST: deployment/report
. "$(dirname "$0")/../lib.sh"
baseline(){ chart rand; dep web web:1.0 | sed 's/- {name: main,/- {name: main, envFrom: [{secretRef: {name: db}}],/; s/metadata: {labels: {app: web}}/metadata: {labels: {app: web}, annotations: {sum: "{{ .Release.Revision }}"}}/' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: "{{ randAlphaNum 12 }}"}\n' > $CH/templates/s.yaml; h install rel $CH >/dev/null; dep report report:1 1 | k apply -f -; }
inject(){ k set image deploy/report main=report:1.1; settled 1; h upgrade rel $CH >/dev/null; brkrev web crash; }
main "$@"
