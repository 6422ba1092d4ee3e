#!/bin/bash
# SOURCE: own, after HolmesGPT – init container and an external database
# FAULT: nodes were rebooted, so that pods are made anew, while the database outside is being moved: the init container ends; its image had been changed 40 s before, and all pods went through it
# NOT_BLAMED: deployment/orders
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
baseline(){ P='      initContainers: [{name: wait-db, image: "registry.local/pgtools:16-exit0", command: [pg_isready, -h, pg.example.net]}]' app orders registry.local/orders:2 3 | k apply -f -; }
inject(){ k set image deploy/orders wait-db=registry.local/pgtools:17-exit0; settled 1; sleep 40; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-i", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash-exit2, namespace: "%s", workload: "Deployment/orders", container: wait-db, log: "pg.example.net:5432 - no response"}\n' $NS $NS | rule; k delete pod -l app=orders --wait=false; }
main "$@"
