#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 63: corrupted-kubernetes-secret-credentials
# FAULT: a program writes nonsense into all keys of a Secret of a Helm release that is read as environment; the pods are replaced and are refused
# NAMES: secret/email-credentials
# NOT_BLAMED: deployment/email "helm/shop went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  email: {image: "registry.local/email:2.0", replicas: 2, container: {envFrom: [{secretRef: {name: email-credentials}}]}}\n  cart: {image: "registry.local/cart:2.0"}\nsecrets: {email-credentials: {SMTP_USER: shop, SMTP_PASSWORD: right}}\n'; }
baseline(){ v | up shop; }
inject(){ k rollout restart deploy/cart; settled 1; api patch secret email-credentials -p '{"stringData":{"SMTP_USER":"q8f","SMTP_PASSWORD":"x1z"}}'; k delete pod -l app=email --wait=false; brk deployment/email crash 'Net::SMTPAuthenticationError: 535 5.7.8 authentication failed'; }
cured(){ [ "$(k get secret email-credentials -o jsonpath='{.data.SMTP_PASSWORD}' | base64 -d)" = right ]; }
mend(){ mendd deployment/email; }
main "$@"
