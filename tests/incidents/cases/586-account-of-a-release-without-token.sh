#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – a service account's token that is mounted no more (by a chart)
# FAULT: helm upgrade turns the mounting of tokens off for the account of a program, and changes its image as well, which is good
# NAMES: helm/watcher serviceaccount*|automount*
# OUTCOME: recovered
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ chart watcher; { printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: watcher}\nautomountServiceAccountToken: {{ .Values.token }}\n---\n'; P='      serviceAccountName: watcher' app watcher 'registry.local/watcher:{{ .Values.tag }}' 2; } > $CH/templates/a.yaml; printf 'token: true\ntag: "1"\n' > $CH/values.yaml; h install watcher $CH >/dev/null; }
inject(){ h upgrade watcher $CH --set token=false,tag=2 >/dev/null; shown watcher crash 'open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory'; }
main "$@"
