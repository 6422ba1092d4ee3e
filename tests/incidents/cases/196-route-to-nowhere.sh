#!/bin/bash
# SOURCE: own, after reports of Istio – a VirtualService to a host that is not there
# FAULT: kubectl sends a VirtualService's requests to a host that does not exist: who calls is answered 503 and exits; it had an innocent variable before
# NAMES: virtualservice/cart host kubectl*
# NOT_BLAMED: deployment/front deployment/cart service/cart
# REST: deployment/front
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
baseline(){ crd networking.istio.io v1 VirtualService virtualservices; { app front registry.local/front:1 2; app cart registry.local/cart:1 2; printf -- '---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart}\nspec: {hosts: [cart], http: [{route: [{destination: {host: cart, port: {number: 8080}}}]}]}\n'; } | k apply -f -; }
inject(){ k set env deploy/front STYLE=new; settled 1; sleep 15; k patch virtualservices.networking.istio.io/cart --type json -p '[{"op":"replace","path":"/spec/http/0/route/0/destination/host","value":"cart-v9"}]'; sleep 3; brk deployment/front crash 'GET http://cart:8080/items: 503 Service Unavailable (NR, no cluster found cart-v9)'; }
cured(){ [ "$(k get virtualservices.networking.istio.io/cart -o jsonpath='{.spec.http[0].route[0].destination.host}')" = cart ]; }
mend(){ mendd deployment/front; }
main "$@"
