#!/bin/bash
# SOURCE: own
# FAULT: a Deployment of nobody's was deleted; its Service and Ingress stay; there is no snapshot and no release: nobody knows what it was. A neighbour got a good image before
# NOT_BLAMED: deployment/neighbour service/basket ingress/basket
# OUTCOME: nothing
# TOLD: basket
# SNAP: no
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
baseline(){ { app basket registry.local/basket:1 2; app neighbour registry.local/n:1; printf -- '---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: basket}\nspec: {rules: [{host: basket.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: basket, port: {number: 8080}}}}]}}]}\n'; } | k apply -f -; }
inject(){ k set image deploy/neighbour neighbour=registry.local/n:1.1; settled 1; k delete deploy basket --wait=true; }
main "$@"
