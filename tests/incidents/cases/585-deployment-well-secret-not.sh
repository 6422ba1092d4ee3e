#!/bin/bash
# SOURCE: own
# FAULT: two edits past Helm by one hand: a harmless variable of a Deployment, which rolls out, and a quarter of a minute before that a wrong token in a Secret which that reads
# NAMES: secret/push-token
# NOT_BLAMED: VERBOSE
# OUTCOME: recovered|approval
# APPROVE: takeover
# REST: deployment/push.spec
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'services:\n  push: {image: "registry.local/push:2", replicas: 2, container: {envFrom: [{secretRef: {name: push-token}}]}}\nsecrets: {push-token: {PUSH_TOKEN: abc}}\n' | up notify; }
inject(){ k patch secret push-token --field-manager=kubectl-edit -p '{"stringData":{"PUSH_TOKEN":"xyz"}}'; sleep 14; k set env deploy/push VERBOSE=1; shown push crash '401 Unauthorized: invalid credentials: token from PUSH_TOKEN was not accepted'; }
cured(){ [ "$(k get secret push-token -o jsonpath='{.data.PUSH_TOKEN}')" = YWJj ]; }
mend(){ mendd deployment/push; }
main "$@"
