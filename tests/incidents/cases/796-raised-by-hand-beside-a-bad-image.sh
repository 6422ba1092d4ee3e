#!/bin/bash
# SOURCE: own
# FAULT: one Deployment of a release was raised by hand for a rush and is well; then an upgrade brings a bad image of another one
# NAMES: helm/shop cart image
# OUTCOME: recovered|approval
# APPROVE: takeover
# KEPT: deployment/web {.spec.replicas} = 5
# KEPT: pods app=web kept
# LEFT: deployment/cart {.spec.template.spec.containers[0].image} = cart:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ chart shop; { dep web web:1.0 2; echo ---; dep cart '{{ .Values.cart }}' 2; } > $CH/templates/d.yaml; printf 'cart: cart:1.0\n' > $CH/values.yaml; h install shop $CH >/dev/null; ready deploy/web; k scale deploy/web --replicas 5; ready deploy/web; }
inject(){ h upgrade shop $CH --set cart=cart:1.1-crash-exit3 --force-conflicts >/dev/null || h upgrade shop $CH --set cart=cart:1.1-crash-exit3 >/dev/null; k scale deploy/web --replicas 5; }
main "$@"
