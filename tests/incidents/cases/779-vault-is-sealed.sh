#!/bin/bash
# SOURCE: own, after reports of the External Secrets Operator (SecretSyncedError)
# FAULT: the vault is sealed: an ExternalSecret can't be renewed, the program's lease ran out and it exits; the ExternalSecret's interval and an image of a neighbour were changed before
# NOT_BLAMED: deployment/till refreshInterval deployment/receipt
# MAY_BLAME: externalsecret/till-db
# OUTCOME: nothing
# TOLD: sealed|vault|"lease"
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
es(){ printf 'apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: till-db}\nspec: {refreshInterval: %s, secretStoreRef: {kind: ClusterSecretStore, name: vault}, target: {name: till-db}, data: [{secretKey: password, remoteRef: {key: till/db}}]}\n' $1 | k apply -f - >/dev/null; }
baseline(){ crd external-secrets.io v1 ExternalSecret externalsecrets; es 1h; said externalsecret/till-db "{\"conditions\":[$(cond Ready True SecretSynced)]}" external-secrets; printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: till-db, labels: {reconcile.external-secrets.io/managed: "true"}, ownerReferences: [%s]}\nstringData: {password: one}\n' "$(own externalsecret/till-db)" | op external-secrets; { C='        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: till-db, key: password}}}]' app till registry.local/till:3 2; app receipt registry.local/receipt:1; } | k apply -f -; }
inject(){ es 5m; said externalsecret/till-db "{\"conditions\":[$(cond Ready True SecretSynced)]}" external-secrets; k set image deploy/receipt receipt=registry.local/receipt:1.1; settled 1; sleep 40; said externalsecret/till-db "{\"conditions\":[$(cond Ready False SecretSyncedError 'could not get secret data from provider: 503 Vault is sealed')]}" external-secrets; brk deployment/till crash 'FATAL: lease of database credentials is expired, and vault does not renew it: Vault is sealed'; }
main "$@"
