#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 86_configmap_like_but_secret
# FAULT: an upgrade mounts a Secret that nobody made: new pods stay in ContainerCreating, the old ones go on
# NAMES: helm/front frontend-api-keys
# OUTCOME: recovered
# WAIT: 30
. "$(dirname "$0")/../lib.sh"
demo(){ printf 'services:\n  frontend: {image: "registry.local/fe:3", replicas: 4%s}\n  cart: {image: "registry.local/cart:3"}\n' "$1"; }
baseline(){ demo '' | h upgrade -i front $CHART -f - >/dev/null; }
inject(){ demo ', container: {volumeMounts: [{name: keys, mountPath: /keys}]}, pod: {volumes: [{name: keys, secret: {secretName: frontend-api-keys}}]}' | h upgrade -i front $CHART -f - >/dev/null; }
main "$@"
