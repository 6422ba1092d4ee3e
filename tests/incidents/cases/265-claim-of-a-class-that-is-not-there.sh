#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – misconfigured persistent volume claim
# FAULT: a new claim of a StorageClass that is not there, and a patch that mounts it into a Deployment of a Helm release
# NAMES: deployment/ad ad-invalid|volumes
# NOT_BLAMED: "helm/astronomy went to revision"
# REST: persistentvolumeclaim/ad-invalid
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: ad-invalid}\nspec: {storageClassName: invalid-class-name, accessModes: [ReadWriteOnce], resources: {requests: {storage: 25Mi}}}\n' | k create -f -; api patch deploy ad -p '{"spec":{"template":{"spec":{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"ad-invalid"}}],"containers":[{"name":"ad","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}}}}'; }
main "$@"
