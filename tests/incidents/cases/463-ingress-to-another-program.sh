#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – ingress_misroute
# FAULT: a program sends the requests of a path to another Service, which exists and is well
# NAMES: ingress/shop recommendation|backend*
# NOT_BLAMED: service/recommendation service/frontend
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app frontend registry.local/hotel:1.4; app recommendation registry.local/hotel:1.4; printf -- '---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: shop}\nspec: {rules: [{host: %s.example, http: {paths: [{path: /api, pathType: Prefix, backend: {service: {name: frontend, port: {number: 8080}}}}]}}]}\n' $NS; } | k apply -f -; }
inject(){ k rollout restart deploy/recommendation; api patch ingress shop --type json -p '[{"op":"replace","path":"/spec/rules/0/http/paths/0/backend/service/name","value":"recommendation"}]'; }
main "$@"
