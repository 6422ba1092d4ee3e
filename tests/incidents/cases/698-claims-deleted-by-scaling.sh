#!/bin/bash
# SOURCE: own, after https://kubernetes.io/docs – persistentVolumeClaimRetentionPolicy
# FAULT: a person lets claims go when a StatefulSet is scaled down; it is scaled to 1 and back to 3: two members have empty disks and do not start. No way back brings the data
# NAMES: statefulset/members persistentVolumeClaimRetentionPolicy|replicas|scale*
# OUTCOME: refused|approval|stopped
# APPROVE: takeover
# KEPT: persistentvolumeclaim/data-members-0 same
# READY: no
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: members}\nspec: {serviceName: members, podManagementPolicy: Parallel, replicas: 3, selector: {matchLabels: {app: members}}, template: {metadata: {labels: {app: members}}, spec: {containers: [{name: main, image: "registry.local/members:2", volumeMounts: [{name: data, mountPath: /data}]}]}}, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}\n' | k apply -f -; sleep 5; }
inject(){ k patch sts members --field-manager=kubectl-edit -p '{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete","whenDeleted":"Retain"}}}'; sleep 2; k scale sts members --replicas=1; sleep 6; for n in 1 2; do k wait --for=delete pvc/data-members-$n --timeout=20s; done; k scale sts members --replicas=3; sleep 2; for n in 1 2; do brk pod/members-$n crash 'fatal: member id mismatch: /data is empty, but the cluster knows this member'; done; }
main "$@"
