#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 157_disk_full_statefulset
# FAULT: the volume of a StatefulSet is full; its label was changed and a good image of it ran for a while
# NOT_BLAMED: statefulset/data
# MAY_BLAME: persistentvolumeclaim/d-data-0
# OUTCOME: nothing
# TOLD: disk|space|full
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: data}\nspec: {serviceName: data, replicas: 1, selector: {matchLabels: {app: data}}, template: {metadata: {labels: {app: data}}, spec: {containers: [{name: main, image: "data:1.0", volumeMounts: [{name: d, mountPath: /d}]}]}}, volumeClaimTemplates: [{metadata: {name: d}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 100Mi}}}}]}\n' | k apply -f -; }
inject(){ k set image sts/data main=data:1.1; settled 2; k label sts data tier=b; sleep 40; brk statefulset/data crash 'OSError: [Errno 28] No space left on device: /d/wal'; }
main "$@"
