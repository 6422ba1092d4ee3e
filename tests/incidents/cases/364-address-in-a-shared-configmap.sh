#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – incorrect_port_assignment (from a ConfigMap)
# FAULT: kubectl patches an address in a ConfigMap that is read as environment, then a restart: the program finds nobody there; a fresh image of another program by somebody else
# NAMES: configmap/shop-env PRODUCT_CATALOG_ADDR
# NOT_BLAMED: deployment/product-catalog deployment/checkout
# OUTCOME: recovered
# WAIT: 15
# REST: deployment/product-catalog.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop-env}\ndata: {PRODUCT_CATALOG_ADDR: "product-catalog:8080", CART_ADDR: "cart:8080"}\n'; C='        envFrom: [{configMapRef: {name: shop-env}}]' app checkout registry.local/checkout:2.0; app product-catalog registry.local/product-catalog:2.0; } | k apply -f -; }
inject(){ k patch cm shop-env --type merge -p '{"data":{"PRODUCT_CATALOG_ADDR":"product-catalog:8082"}}'; k set image --field-manager=ci deploy/product-catalog product-catalog=registry.local/product-catalog:2.1; k rollout restart deploy/checkout; sleep 1; brk deployment/checkout crash 'failed to connect: dial tcp product-catalog:8082: connect: connection refused'; }
cured(){ [ "$(k get cm shop-env -o jsonpath='{.data.PRODUCT_CATALOG_ADDR}')" = product-catalog:8080 ]; }
mend(){ mendd deployment/checkout; }
main "$@"
