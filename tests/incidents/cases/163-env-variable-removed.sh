#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – missing_env_variable
# FAULT: an env variable was removed by a program; the program misses it and exits; an innocent label of another Deployment after
# NAMES: deployment/frontend CART_ADDR
# NOT_BLAMED: deployment/cart
# OUTCOME: recovered
# REST: deployment/cart.labels
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { C='        env: [{name: CART_ADDR, value: "cart:8080"}, {name: PORT, value: "8080"}]' app frontend registry.local/frontend:2.0 2; app cart registry.local/cart:2.0; } | k apply -f -; }
inject(){ api patch deploy frontend --type json -p '[{"op":"remove","path":"/spec/template/spec/containers/0/env/0"}]'; shown frontend crash 'TypeError: Cannot read properties of undefined: environment variable CART_ADDR is not set'; k label deploy cart reviewed=yes; }
main "$@"
