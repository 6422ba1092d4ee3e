#!/bin/bash
# FAULT: an upgrade makes a cache in memory too small for what the program puts there; that its disk is full says nothing of its node
# NAMES: helm/render sizeLimit|volumes
# NOT_BLAMED: deployment/quiet
# OUTCOME: recovered
# WAIT: 10
. "$(dirname "$0")/../lib.sh"
baseline(){ chart render; { C='        volumeMounts: [{name: cache, mountPath: /cache}]' P='      volumes: [{name: cache, emptyDir: {medium: Memory, sizeLimit: "{{ .Values.size }}"}}]' app render render:1.0 1; } > $CH/templates/d.yaml; printf 'size: 256Mi\n' > $CH/values.yaml; h install render $CH >/dev/null; dep quiet quiet:1.0 1 | k apply -f - >/dev/null; ready deploy/quiet; k set env deploy/quiet NOTE=1 >/dev/null; settled 1; }
inject(){ h upgrade render $CH --set size=1Mi >/dev/null; sleep 1; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-render", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: "crash", namespace: "%s", selector: "pod-template-hash=%s", log: "write /cache/frame.bin: no space left on device"}\n' "$NS" "$NS" "$(k get rs -l app=render --sort-by=.metadata.creationTimestamp -o jsonpath='{.items[-1:].metadata.labels.pod-template-hash}')" | rule; }
main "$@"
