#!/bin/bash
# SOURCE: https://github.com/jordigilh/kubernaut-demo-scenarios – route-misconfiguration
# FAULT: kubectl patch leads an Ingress to another Service that exists
# NAMES: ingress/shop
# NOT_BLAMED: deployment/shop deployment/docs
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
baseline(){ { app shop registry.local/shop:1 2; app docs registry.local/docs:1; printf -- '---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\nspec: {rules: [{host: %s.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 8080}}}}]}}]}\n' $NS; } | k apply -f -; }
inject(){ k rollout restart deploy/docs; settled 1; k patch ingress shop --type=json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"docs"}]'; }
main "$@"
