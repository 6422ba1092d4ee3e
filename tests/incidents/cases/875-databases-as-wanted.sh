#!/bin/bash
# SOURCE: own, after the documentation of CloudNativePG, Strimzi and ECK
# FAULT: none: a PostgreSQL cluster switched over to another primary, a backup of it is complete and one long ago failed; a Kafka is ready with a warning; an Elasticsearch of one node is yellow, as it has to be
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
pgpod(){ printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: pg-%s, labels: {cnpg.io/cluster: pg, cnpg.io/instanceRole: %s}, ownerReferences: [%s]}\nspec: {containers: [{name: postgres, image: "ghcr.io/cloudnative-pg/postgresql:16.4"}]}\n' $1 $2 "$(own clusters.postgresql.cnpg.io/pg)" | op cloudnative-pg; }
say(){ said clusters.postgresql.cnpg.io/pg "{\"phase\":\"Cluster in healthy state\",\"instances\":2,\"readyInstances\":2,\"currentPrimary\":\"pg-$1\",\"targetPrimary\":\"pg-$1\",\"conditions\":[$(cond Ready True ClusterIsReady 'Cluster is Ready'),$(cond ContinuousArchiving True ContinuousArchivingSuccess)]}" cloudnative-pg; }
baseline(){ crd postgresql.cnpg.io v1 Cluster clusters postgresql.cnpg.io v1 Backup backups kafka.strimzi.io v1beta2 Kafka kafkas elasticsearch.k8s.elastic.co v1 Elasticsearch elasticsearches
printf 'apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: pg}\nspec: {instances: 2, imageName: "ghcr.io/cloudnative-pg/postgresql:16.4"}\n---\napiVersion: postgresql.cnpg.io/v1\nkind: Backup\nmetadata: {name: old}\nspec: {cluster: {name: pg}}\n---\napiVersion: kafka.strimzi.io/v1beta2\nkind: Kafka\nmetadata: {name: bus}\nspec: {kafka: {replicas: 1, version: 3.8.0}}\n---\napiVersion: elasticsearch.k8s.elastic.co/v1\nkind: Elasticsearch\nmetadata: {name: logs}\nspec: {version: 8.15.0, nodeSets: [{name: default, count: 1}]}\n' | k apply -f -
pgpod 1 primary; pgpod 2 replica; say 1; said backups.postgresql.cnpg.io/old '{"phase":"failed","error":"cannot reach the object store","startedAt":"2026-11-01T01:00:00Z","stoppedAt":"2026-11-01T01:00:09Z"}'
madeset bus-kafka quay.io/strimzi/kafka:3.8.0 1 "$(own kafkas.kafka.strimzi.io/bus)" | op strimzi; madeset logs-es-default docker.elastic.co/elasticsearch:8.15.0 1 "$(own elasticsearches.elasticsearch.k8s.elastic.co/logs)" | op elastic-operator
said kafkas.kafka.strimzi.io/bus "{\"conditions\":[$(cond Ready True),$(cond Warning True KafkaStorage 'A Kafka cluster with a single replica and ephemeral storage will lose topic messages after any restart.')]}"; said elasticsearches.elasticsearch.k8s.elastic.co/logs "{\"health\":\"yellow\",\"phase\":\"Ready\",\"availableNodes\":1,\"conditions\":[$(cond ReconciliationComplete True),$(cond ElasticsearchIsReachable True)]}"; }
inject(){ k label pod pg-1 cnpg.io/instanceRole=replica --overwrite; k label pod pg-2 cnpg.io/instanceRole=primary --overwrite; say 2; printf 'apiVersion: postgresql.cnpg.io/v1\nkind: Backup\nmetadata: {name: nightly}\nspec: {cluster: {name: pg}}\n' | k apply -f -; said backups.postgresql.cnpg.io/nightly "{\"phase\":\"completed\",\"stoppedAt\":\"$(date -u +%FT%TZ)\"}"; ev clusters.postgresql.cnpg.io/pg SwitchingOver 'Switching over from pg-1 to pg-2' Normal; }
main "$@"
