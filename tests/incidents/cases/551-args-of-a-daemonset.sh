#!/bin/bash
# SOURCE: own
# FAULT: kubectl edits the args of a DaemonSet that Helm owns: it exits; its release has two good revisions
# NAMES: daemonset/probe args kubectl*
# NOT_BLAMED: "helm/fleet went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
baseline(){ chart fleet; cat > $CH/templates/d.yaml <<'Y'
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: probe}
spec:
  selector: {matchLabels: {app: probe}}
  template: {metadata: {labels: {app: probe}}, spec: {containers: [{name: main, image: "{{ .Values.image }}", args: ["--every=10"]}]}}
Y
printf 'image: probe:1.0\n' > $CH/values.yaml; h install fleet $CH >/dev/null; sleep 4; h upgrade fleet $CH --set image=probe:1.1 >/dev/null; sleep 4; }
inject(){ k patch ds probe --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/args","value":["--every=never"]},{"op":"add","path":"/spec/template/metadata/annotations","value":{"twin.backout.dev/fault":"crash-exit3"}}]'; }
main "$@"
