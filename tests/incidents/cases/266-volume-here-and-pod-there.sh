#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – persistent_volume_affinity_violation (of a Helm release)
# FAULT: deleted and applied anew with a new volume that is on node-1 and a nodeSelector of node-2
# NAMES: deployment/user-service nodeSelector|volumes kubectl*
# REST: persistentvolumeclaim/temp-pvc
# NOT_BLAMED: "helm/social went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ printf 'apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: temp-pv-%s}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Delete, storageClassName: "", hostPath: {path: /tmp/x}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node-1]}]}]}}, claimRef: {name: temp-pvc, namespace: %s}}\n' $NS $NS | kc apply -f -; printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: temp-pvc}\nspec: {storageClassName: "", volumeName: temp-pv-%s, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n' $NS | k apply -f -
reapply user-service "p['nodeSelector']={'kubernetes.io/hostname':'node-2'}; p.setdefault('volumes',[]).append({'name':'v','persistentVolumeClaim':{'claimName':'temp-pvc'}}); c.setdefault('volumeMounts',[]).append({'name':'v','mountPath':'/v'})"; }
cleanup(){ kc delete pv temp-pv-$NS --ignore-not-found --wait=false; }
main "$@"
