#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – misoperation security_context_fault
# FAULT: kubectl apply gives a StatefulSet's pods another user: the database may not write to its directory; its highest pod fails
# NAMES: statefulset/orders-db securityContext*|runAsUser
# NOT_BLAMED: configmap/orders-db-init
# OUTCOME: recovered
# REST: configmap/orders-db-init
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
mk(){ cat <<Y
apiVersion: v1
kind: ConfigMap
metadata: {name: orders-db-init, labels: {rev: "$2"}}
data: {init.sql: "select 1"}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orders-db}
spec:
  serviceName: orders-db
  replicas: 2
  selector: {matchLabels: {app: orders-db}}
  template:
    metadata: {labels: {app: orders-db}$1
    spec:
      securityContext: {runAsUser: $3, fsGroup: 999}
      containers:
      - {name: postgres, image: "registry.local/postgres:15.4", volumeMounts: [{name: init, mountPath: /init}, {name: data, mountPath: /var/lib/postgresql/data}]}
      volumes: [{name: init, configMap: {name: orders-db-init}}]
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]
Y
}
baseline(){ mk '}' a 999 | k apply -f -; }
inject(){ mk '}' b 1000 | k apply -f -; h=; for i in 1 2 3 4 5 6 7 8; do h=$(k get sts orders-db -o jsonpath='{.status.updateRevision}'); c=$(k get sts orders-db -o jsonpath='{.status.currentRevision}'); [ "$h" != "$c" ] && break; sleep 0.5; done
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-db", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash, namespace: "%s", selector: "controller-revision-hash=%s", log: "initdb: error: could not change permissions of directory /var/lib/postgresql/data: Operation not permitted"}\n' "$NS" "$NS" "$h" | rule; }
main "$@"
