#!/bin/bash
# SOURCE: own, after runbooks of cert-manager – CertManagerCertExpirySoon, and reports of ACME rate limits
# FAULT: an issuer outside was at its limit, so that a Certificate was not renewed and ran out: the program exits and says so; its release was upgraded without harm 25 s before
# NOT_BLAMED: helm/edge deployment/edge
# MAY_BLAME: certificate/edge
# OUTCOME: nothing
# TOLD: certificate
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
v(){ printf 'services:\n  edge: {image: "registry.local/edge:21", replicas: 2, container: {env: [{name: GZIP, value: "%s"}], volumeMounts: [{name: tls, mountPath: /tls}]}, pod: {volumes: [{name: tls, secret: {secretName: edge-tls}}]}}\n' $1; }
baseline(){ crd cert-manager.io v1 Certificate certificates; printf 'apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: edge}\nspec: {secretName: edge-tls, dnsNames: [edge.example.org], issuerRef: {kind: ClusterIssuer, name: acme}}\n' | k apply -f -; said certificate/edge "{\"conditions\":[$(cond Ready True Ready 'Certificate is up to date and has not expired')],\"notAfter\":\"2026-11-30T00:00:00Z\"}" cert-manager-certificates-readiness; printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: edge-tls, annotations: {cert-manager.io/certificate-name: edge}}\ntype: kubernetes.io/tls\nstringData: {tls.crt: a, tls.key: b}\n' | op cert-manager-certificates-issuing; v "off" | h upgrade -i edge $CHART -f - >/dev/null; }
inject(){ v "on" | h upgrade edge $CHART -f - >/dev/null; settled 1; sleep 25; said certificate/edge "{\"conditions\":[$(cond Ready False Expired 'Certificate expired on Sun, 29 Nov 2026'),$(cond Issuing False Failed 'The certificate request has failed to complete and will be retried: 429 urn:ietf:params:acme:error:rateLimited')]}" cert-manager-certificates-readiness; brk deployment/edge crash 'tls: certificate of /tls/tls.crt has expired'; }
main "$@"
