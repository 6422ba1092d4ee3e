#!/bin/bash
# SOURCE: own, after cert-manager's troubleshooting
# FAULT: kubectl names an issuer that does not exist in a Certificate: cert-manager says that it is not ready; programs run on with the old one; a good image of one of them before
# NAMES: certificate/shop issuerRef|acme-prod-2 kubectl*
# NOT_BLAMED: deployment/shop
# REST: deployment/shop
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
baseline(){ crd cert-manager.io v1 Certificate certificates; { app shop registry.local/shop:1 2; printf -- '---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: shop}\nspec: {secretName: shop-tls, dnsNames: [shop.example.org], issuerRef: {kind: Issuer, name: acme-prod}}\n'; } | k apply -f -; said certificate/shop "{\"conditions\":[$(cond Ready True Ready 'Certificate is up to date and has not expired')]}" cert-manager-certificates-readiness; }
inject(){ k set image deploy/shop shop=registry.local/shop:1.1; settled 1; sleep 8; k patch certificate shop --type merge -p '{"spec":{"issuerRef":{"name":"acme-prod-2"}}}'; said certificate/shop "{\"conditions\":[$(cond Ready False IncorrectIssuer 'Issuing certificate as Secret was previously issued by \"Issuer.cert-manager.io/acme-prod\"'),$(cond Issuing True IncorrectIssuer)]}" cert-manager-certificates-readiness; sleep 1; said certificate/shop "{\"conditions\":[$(cond Ready False DoesNotExist 'Referenced \"Issuer\" not found: issuer.cert-manager.io \"acme-prod-2\" not found')]}" cert-manager-certificates-readiness; }
cured(){ [ "$(k get certificate shop -o jsonpath='{.spec.issuerRef.name}')" = acme-prod ]; }
mend(){ said certificate/shop "{\"conditions\":[$(cond Ready True Ready)]}" cert-manager-certificates-readiness; }
main "$@"
