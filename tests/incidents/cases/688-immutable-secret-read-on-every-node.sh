#!/bin/bash
# FAULT: an immutable Secret was deleted so that an upgrade could change it; a DaemonSet, a Deployment whose replicas the chart does not say (scaled by hand), and a workload beside the release read it. Back: made anew, with nobody left who makes a node keep the bad content
# NAMES: helm/vault|secret/token
# NOT_BLAMED: deployment/idle
# OUTCOME: approval
# APPROVE: recreate
# KEPT: deployment/idle same
# KEPT: pods app=idle kept
# LEFT: secret/token {.data.KEY} = Z29vZA==
# LEFT: secret/token {.immutable} = true
# LEFT: deployment/signer {.spec.replicas} = 3
# LEFT: pods app=signer replaced
# LEFT: pods app=node-agent replaced
# LEFT: pods app=beside replaced
. "$(dirname "$0")/../lib.sh"
reads='envFrom: [{secretRef: {name: token}}],'
baseline(){ chart vault
dep signer signer:1.0 | sed "/^  replicas:/d; s/- {name: main,/- {name: main, $reads/; s/metadata: {labels: {app: signer}}/metadata: {labels: {app: signer}, annotations: {sum: \"{{ .Values.key | sha256sum }}\"}}/" > $CH/templates/d.yaml
dep node-agent agent:1.0 | sed "s/kind: Deployment/kind: DaemonSet/; /^  replicas:/d; s/- {name: main,/- {name: main, $reads/" > $CH/templates/ds.yaml
printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: token}\nimmutable: true\nstringData: {KEY: "{{ .Values.key }}"}\n' > $CH/templates/s.yaml; printf 'key: good\n' > $CH/values.yaml
h install vault $CH >/dev/null; k scale deploy signer --replicas=3 >/dev/null
{ dep beside beside:1.0 2 | sed "s/- {name: main,/- {name: main, $reads/"; echo ---; dep idle idle:1.0 1; } | k apply -f - >/dev/null; }
inject(){ k delete secret token >/dev/null; h upgrade vault $CH --set key=bad >/dev/null; brkrev signer crash; }
main "$@"
