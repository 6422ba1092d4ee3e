#!/bin/bash
# SOURCE: own, after Strimzi's documentation – pools, pod sets, pods
# FAULT: kubectl lowers the memory of a pool of Kafka brokers: a pod that the pod set made anew is killed for its memory; the Kafka itself got an innocent option before
# NAMES: kafkanodepool/brokers memory kubectl*
# NOT_BLAMED: kafka/bus strimzipodset/bus-brokers
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
G=kafka.strimzi.io
pool(){ printf 'apiVersion: %s/v1beta2\nkind: KafkaNodePool\nmetadata: {name: brokers, labels: {strimzi.io/cluster: bus}}\nspec: {replicas: 2, roles: [broker], storage: {type: ephemeral}, resources: {limits: {memory: 512Mi}}}\n' $G | k apply -f -; }
bpod(){ printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: bus-brokers-%s, labels: {strimzi.io/cluster: bus, strimzi.io/pool-name: brokers}, annotations: {%s}, ownerReferences: [%s]}\nspec: {containers: [{name: kafka, image: "quay.io/strimzi/kafka:3.8.0", resources: {limits: {memory: %s}}}]}\n' $1 "${3:-a: b}" "$(own strimzipodsets.core.strimzi.io/bus-brokers)" $2 | op strimzi-cluster-operator; }
sets(){ printf 'apiVersion: core.strimzi.io/v1beta2\nkind: StrimziPodSet\nmetadata: {name: bus-brokers, labels: {strimzi.io/cluster: bus}, ownerReferences: [%s]}\nspec: {selector: {matchLabels: {strimzi.io/pool-name: brokers}}, pods: [{metadata: {name: bus-brokers-0}, spec: {containers: [{name: kafka, resources: {limits: {memory: %s}}}]}}, {metadata: {name: bus-brokers-1}, spec: {containers: [{name: kafka, resources: {limits: {memory: %s}}}]}}]}\n' "$(own kafkanodepools.$G/brokers)" $1 $1 | op strimzi-cluster-operator; }
kafka(){ printf 'apiVersion: %s/v1beta2\nkind: Kafka\nmetadata: {name: bus}\nspec: {kafka: {version: 3.8.0, config: {log.retention.hours: %s}}}\n' $G $1 | k apply -f -; said kafkas.$G/bus "{\"conditions\":[$(cond Ready True)]}"; }
podset(){ said strimzipodsets.core.strimzi.io/bus-brokers "{\"pods\":2,\"readyPods\":$1,\"currentPods\":2}"; }
baseline(){ crd $G v1beta2 Kafka kafkas $G v1beta2 KafkaNodePool kafkanodepools core.strimzi.io v1beta2 StrimziPodSet strimzipodsets; kafka 24; pool; said kafkanodepools.$G/brokers '{"nodeIds":[0,1],"replicas":2}'; sets 512Mi; bpod 0 512Mi; bpod 1 512Mi; podset 2; sleep 3; }
inject(){ kafka 48; sleep 8; k patch kafkanodepools.$G/brokers --type merge -p '{"spec":{"resources":{"limits":{"memory":"64Mi"}}}}'; said kafkanodepools.$G/brokers '{"nodeIds":[0,1],"replicas":2}'; sets 64Mi; k delete pod bus-brokers-1 --now; bpod 1 64Mi 'twin.backout.dev/fault: oom'; sleep 3; podset 1; said kafkas.$G/bus "{\"conditions\":[$(cond NotReady True TimeoutException 'Exceeded timeout of 300000ms while waiting for Pods resource bus-brokers-1 to be ready')]}"; }
cured(){ [ "$(k get kafkanodepools.$G/brokers -o jsonpath='{.spec.resources.limits.memory}')" = 512Mi ]; }
mend(){ said kafkanodepools.$G/brokers '{"nodeIds":[0,1],"replicas":2}'; sets 512Mi; k delete pod bus-brokers-1 --now; bpod 1 512Mi; sleep 2; podset 2; said kafkas.$G/bus "{\"conditions\":[$(cond Ready True)]}"; }
main "$@"
