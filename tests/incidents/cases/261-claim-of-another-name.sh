#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – pvc_claim_mismatch
# FAULT: deleted and applied anew with a claim that does not exist: Pending; the claim with the data stays
# NAMES: deployment/mongodb claimName|volumes|"data-broken"
# OUTCOME: recovered
# KEPT: persistentvolumeclaim/data same
# REST: deployment/geo.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { printf 'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {storageClassName: standard, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n'; C='        volumeMounts: [{name: d, mountPath: /data}]' P='      volumes: [{name: d, persistentVolumeClaim: {claimName: data}}]' app mongodb registry.local/mongo:4.4 1 27017; app geo registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k set image deploy/geo geo=registry.local/hotel:1.4.1; reapply mongodb "p['volumes'][0]['persistentVolumeClaim']['claimName']='data-broken'"; }
main "$@"
