#!/bin/bash
# SOURCE: own
# FAULT: kubectl edits a Secret that a release made, and pods are restarted: refused by the database; no snapshot: the release has what it was
# NAMES: secret/kiln-db password kubectl*
# NOT_BLAMED: helm/kiln
# REST: deployment/kiln.spec.template
# OUTCOME: recovered|approval
# APPROVE: takeover
# SNAP: no
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
v(){ printf 'secrets: {kiln-db: {password: right}}\nservices:\n  kiln: {image: "registry.local/kiln:2", replicas: 2, container: {env: [{name: HEAT, value: "%s"}, {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: kiln-db, key: password}}}]}}\n' $1; }
baseline(){ v 900 | h upgrade -i kiln $CHART -f - >/dev/null; }
inject(){ v 950 | h upgrade kiln $CHART -f - >/dev/null; settled 1; sleep 5; k patch secret kiln-db -p '{"stringData":{"password":"wrong"}}'; brk deployment/kiln crash 'pq: password authentication failed for user kiln'; k rollout restart deploy/kiln; }
cured(){ [ "$(k get secret kiln-db -o jsonpath='{.data.password}' | base64 -d)" = right ]; }
mend(){ mendd deployment/kiln; }
main "$@"
