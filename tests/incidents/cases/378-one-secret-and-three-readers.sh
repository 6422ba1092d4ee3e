#!/bin/bash
# SOURCE: own
# FAULT: CI applies a shared Secret with a wrong password; two of its three readers are rolled out since and fail; the third has the old one still
# NAMES: secret/shared-db
# NOT_BLAMED: deployment/left deployment/right deployment/third
# OUTCOME: recovered|approval
# REST: deployment/left.spec deployment/right.spec
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
sec(){ printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: shared-db}\nstringData: {DB_PASSWORD: %s}\n' $1; }
baseline(){ { sec good; printf -- '---\n'; for n in left right third; do C='        envFrom: [{secretRef: {name: shared-db}}]' app $n registry.local/$n:1 2; done; } | k apply -f -; }
inject(){ sec bad | k apply --server-side --force-conflicts --field-manager=argo-workflow -f -; sleep 8; for n in left right; do k rollout restart deploy/$n; shown $n crash 'pq: password authentication failed for user "app"'; done; }
cured(){ [ "$(k get secret shared-db -o jsonpath='{.data.DB_PASSWORD}')" = Z29vZA== ]; }
mend(){ mendd deployment/left deployment/right; }
main "$@"
