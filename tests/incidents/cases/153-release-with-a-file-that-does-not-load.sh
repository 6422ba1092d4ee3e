#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – crashloop-helm
# FAULT: helm upgrade with a file that the program can't load; another team's canary fails loudly beside it
# NAMES: helm/worker configmap/worker-conf|app.yaml
# OUTCOME: recovered
# RUN: helm/worker
# REST: deployment/canary service/canary
# MAY_FAIL: deployment/canary
. "$(dirname "$0")/../lib.sh"
demo(){ printf 'configs:\n  worker-conf: {app.yaml: "%s"}\nservices:\n  worker: {image: "registry.local/worker:1.4", replicas: 2, checksum: true, container: {args: ["--config-file=/etc/w/app.yaml"], volumeMounts: [{name: c, mountPath: /etc/w}]}, pod: {volumes: [{name: c, configMap: {name: worker-conf}}]}}\n' "$1"; }
baseline(){ demo 'queue: jobs' | h upgrade -i worker $CHART -f - >/dev/null; }
inject(){ app canary registry.local/canary:0.1-crash 1 | k apply -f -; sleep 2; demo 'queue: [jobs' | h upgrade -i worker $CHART -f - >/dev/null; }
main "$@"
