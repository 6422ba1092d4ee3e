#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – expired_tls
# FAULT: the TLS Secret of a proxy was replaced by one whose certificate ran out; the proxy's pod is replaced and exits
# NAMES: secret/edge-tls tls.crt
# NOT_BLAMED: deployment/edge
# OUTCOME: recovered
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
tls(){ printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: edge-tls}\ntype: kubernetes.io/tls\nstringData: {tls.crt: "%s", tls.key: "key-%s"}\n' "$1" "$1"; }
baseline(){ { tls good; C='        volumeMounts: [{name: tls, mountPath: /etc/tls}]' P='      volumes: [{name: tls, secret: {secretName: edge-tls}}]' app edge registry.local/nginx:1.27 2; } | k apply -f -; }
inject(){ tls expired | k replace -f -; k delete pod -l app=edge --wait=false; brk deployment/edge crash 'cannot load certificate /etc/tls/tls.crt: x509: certificate has expired or is not yet valid'; }
cured(){ [ "$(k get secret edge-tls -o jsonpath='{.data.tls\.crt}' | base64 -d)" = good ]; }
mend(){ mendd deployment/edge; }
main "$@"
