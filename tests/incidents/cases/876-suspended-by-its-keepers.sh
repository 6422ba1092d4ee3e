#!/bin/bash
# SOURCE: own, after Flux's and cert-manager's documentation
# FAULT: none: a Kustomization is suspended for a maintenance, a HelmRelease reconciles, a Certificate is being renewed while the old one is valid, an Issuer is ready; a good image was rolled out
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
baseline(){ crd kustomize.toolkit.fluxcd.io v1 Kustomization kustomizations cert-manager.io v1 Certificate certificates cert-manager.io v1 CertificateRequest certificaterequests cert-manager.io v1 Issuer issuers; app shop registry.local/shop:1 2 | k apply -f -
printf 'apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\nspec: {interval: 10m, path: ./apps, suspend: false}\n---\napiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: ca}\nspec: {ca: {secretName: ca}}\n---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: shop}\nspec: {secretName: shop-tls, issuerRef: {name: ca}}\n' | k apply -f -; said kustomization/apps "{\"conditions\":[$(cond Ready True ReconciliationSucceeded)]}"; said issuers.cert-manager.io/ca "{\"conditions\":[$(cond Ready True KeyPairVerified)]}"; said certificate/shop "{\"conditions\":[$(cond Ready True Ready)]}"; }
inject(){ k patch kustomization apps --type merge -p '{"spec":{"suspend":true}}'; k set image deploy/shop shop=registry.local/shop:1.1; settled 1; said certificate/shop "{\"conditions\":[$(cond Ready True Ready 'Certificate is up to date and has not expired'),$(cond Issuing True Renewing 'Renewing certificate as renewal was scheduled')]}"; printf 'apiVersion: cert-manager.io/v1\nkind: CertificateRequest\nmetadata: {name: shop-2, ownerReferences: [%s]}\nspec: {issuerRef: {name: ca}}\n' "$(own certificate/shop)" | op cert-manager; said certificaterequest/shop-2 "{\"conditions\":[$(cond Approved True cert-manager.io),$(cond Ready False Pending 'Waiting on certificate issuance from order: pending')]}"; }
main "$@"
