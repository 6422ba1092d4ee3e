#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – ingress_misroute (a path that was taken away)
# FAULT: a person who adds a path to an Ingress overwrites another one: nobody reaches that backend any more; all pods are well
# NAMES: ingress/public paths|path|orders|/orders
# NOT_BLAMED: deployment/orders service/orders
# OUTCOME: recovered
# REST: deployment/orders.labels
. "$(dirname "$0")/../lib.sh"
ing(){ printf 'apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: public}\nspec: {rules: [{host: %s.shop, http: {paths: [%s]}}]}\n' $NS "$1"; }
p(){ printf '{path: /%s, pathType: Prefix, backend: {service: {name: %s, port: {number: 8080}}}}' $1 $1; }
baseline(){ { app orders registry.local/orders:1; app returns registry.local/returns:1; app carts registry.local/carts:1; printf -- '---\n'; ing "$(p orders), $(p carts)"; } | k apply -f -; }
inject(){ ing "$(p returns), $(p carts)" | k apply -f -; k label deploy orders seen=yes; }
main "$@"
