#!/bin/bash
# SOURCE: own, after Sveltos' documentation
# FAULT: Sveltos applied a Secret with another password from its management cluster, and the program was restarted: refused by its database
# NAMES: secret/fern-db password
# NOT_BLAMED: deployment/fern
# OUTCOME: refused|approval
# APPROVE: owner
# TOLD: sveltos*|clusterprofile*
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
sec(){ printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: fern-db, annotations: {projectsveltos.io/owner-kind: ClusterProfile, projectsveltos.io/owner-name: fern}}\nstringData: {password: %s}\n' $1 | op application/apply-patch; }
baseline(){ sec right; C='        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: fern-db, key: password}}}]' app fern registry.local/fern:1 2 | k apply -f -; }
inject(){ sec wrong; brk deployment/fern crash 'pq: password authentication failed for user fern'; k rollout restart deploy/fern; }
cured(){ [ "$(k get secret fern-db -o jsonpath='{.data.password}' | base64 -d)" = right ]; }
mend(){ mendd deployment/fern; }
main "$@"
