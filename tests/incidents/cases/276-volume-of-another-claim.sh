#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – redeploy_without_PV
# FAULT: a Deployment and its claim were deleted and deployed anew; the volume still belongs to the claim that was, and the new claim asks for just that one
# NAMES: persistentvolumeclaim/media
# OUTCOME: refused|approval|recovered
# APPROVE: recreate|deletes
# READY: no
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
pvc(){ printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: media}\nspec: {%s accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n' "${1:-}"; C='        volumeMounts: [{name: m, mountPath: /m}]' P='      volumes: [{name: m, persistentVolumeClaim: {claimName: media}}]' app media-frontend registry.local/media:1 1; }
baseline(){ pvc | k apply -f -; }
inject(){ v=$(k get pvc media -o jsonpath='{.spec.volumeName}'); kc patch pv "$v" -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'; k delete deploy media-frontend; k delete pvc media --timeout=30s; pvc "volumeName: $v," | k apply -f -; }
check(){ [ "$EXIT" != 0 ] || [ "$(k get deploy media-frontend -o jsonpath='{.status.readyReplicas}')" = 1 ] || { echo "not ready"; return 1; }; }
main "$@"
