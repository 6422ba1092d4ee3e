#!/bin/bash
# SOURCE: after reports of Helm – an immutable Secret in a chart
# FAULT: an immutable Secret was deleted so that an upgrade could change it; the program does not start with the new value: going back has to make it anew
# NAMES: helm/rel|secret/key
# OUTCOME: approval|recovered
# APPROVE: recreate|deletes|takeover
# LEFT: secret/key {.data.TOKEN} = Z29vZA==
. "$(dirname "$0")/../lib.sh"
baseline(){ chart imm; dep web web:1.0 | sed 's/- {name: main,/- {name: main, envFrom: [{secretRef: {name: key}}],/; s/metadata: {labels: {app: web}}/metadata: {labels: {app: web}, annotations: {sum: "{{ .Values.token | sha256sum }}"}}/' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nimmutable: true\nstringData: {TOKEN: "{{ .Values.token }}"}\n' > $CH/templates/s.yaml; printf 'token: good\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ k delete secret key >/dev/null; h upgrade rel $CH --set token=bad >/dev/null; brkrev web crash; }
main "$@"
