#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 60: malformed ConfigMap and unsupported image
# FAULT: a malformed ConfigMap and a restart of its reader; an image of another architecture elsewhere, whose old pods still serve (Helm release)
# NAMES: configmap/recommendation-config
# NAMES: deployment/checkout image
# NOT_BLAMED: "helm/shop went to revision" deployment/cart
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 16
# LIMIT: 200
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  recommendation: {image: "registry.local/recommendation:2.0", container: {args: ["--config-file=/cfg/app.yaml"], volumeMounts: [{name: c, mountPath: /cfg}]}, pod: {volumes: [{name: c, configMap: {name: recommendation-config}}]}}\n  checkout: {image: "registry.local/checkout:2.0", replicas: 2}\n  cart: {image: "registry.local/cart:2.0"}\nconfigs: {recommendation-config: {app.yaml: "cache: 10"}}\n'; }
baseline(){ v | up shop; }
inject(){ api patch cm recommendation-config --type merge -p '{"data":{"app.yaml":"cache: [10"}}'; k rollout restart deploy/recommendation; api patch deploy checkout --type json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.local/hello-arm64:1.0.0"}]'; shown checkout crash 'exec /usr/src/app/checkout: exec format error'; }
main "$@"
