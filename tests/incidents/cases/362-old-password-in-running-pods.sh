#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – secret_rotation_stale_env_credentials
# FAULT: the password was rotated in the database and in the Secret, rightly; pods that run have the old one in their environment and can't serve any more: a restart is right, to take the Secret back is not
# NOT_BLAMED: secret/catalog-db deployment/product-catalog
# OUTCOME: nothing
# KEPT: secret/catalog-db {.data.url} = bmV3
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: catalog-db}\nstringData: {url: old}\n'; C='        env: [{name: DB_CONNECTION_STRING, valueFrom: {secretKeyRef: {name: catalog-db, key: url}}}]' app product-catalog registry.local/product-catalog:2.0 2; app accounting registry.local/accounting:2.0; } | k apply -f -; }
inject(){ k patch secret catalog-db -p '{"stringData":{"url":"new"}}'; sleep 6; brk deployment/product-catalog unready 'pq: password authentication failed for user catalog'; }
main "$@"
