#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – incorrect_image
# FAULT: scaled to 0, image to one that is not there, scaled to 1, by a program; a colleague's new env variable on another Deployment rolled out well before
# NAMES: deployment/product-catalog image OpenAPI*|missing
# NOT_BLAMED: deployment/frontend
# OUTCOME: recovered
# REST: deployment/frontend.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app product-catalog registry.local/product-catalog:2.0; app frontend registry.local/frontend:2.0 2; } | k apply -f -; }
inject(){ k set env deploy/frontend CURRENCY=EUR; settled 1; for p in '{"spec":{"replicas":0}}' '{"spec":{"template":{"spec":{"containers":[{"name":"product-catalog","image":"app-image:latest-missing"}]}}}}' '{"spec":{"replicas":1}}'; do api patch deploy product-catalog -p "$p"; sleep 1; done; }
main "$@"
