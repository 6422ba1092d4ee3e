#!/bin/bash
# SOURCE: after https://github.com/k8sgpt-ai/k8sgpt – a referenced key is gone (of a projected volume)
# FAULT: a person removes a key that a projected volume asks for by name; minutes later somebody restarts the rollout
# NAMES: configmap/edge-routes partners.conf
# NOT_BLAMED: secret/edge-tls
# OUTCOME: recovered|approval
# WAIT: 16
# REST: secret/edge-tls
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: edge-routes}\ndata: {main.conf: "a", partners.conf: "b"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: edge-tls}\nstringData: {tls.pem: x}\n---\n'; C='        volumeMounts: [{name: all, mountPath: /etc/edge}]' P='      volumes: [{name: all, projected: {sources: [{configMap: {name: edge-routes, items: [{key: main.conf, path: main.conf}, {key: partners.conf, path: partners.conf}]}}, {secret: {name: edge-tls}}]}}]' app edge registry.local/edge:3 2; } | k apply -f -; }
inject(){ k patch cm edge-routes --field-manager=kubectl-edit --type=json -p '[{"op":"remove","path":"/data/partners.conf"}]'; sleep 10; k label secret edge-tls rotated=no; k rollout restart deploy/edge; }
main "$@"
