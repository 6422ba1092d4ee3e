#!/bin/bash
# SOURCE: own, after ECK's documentation – a node set whose pods have no place
# FAULT: an upgrade asks for far too much memory in a node set of an Elasticsearch: its StatefulSet's pod is pending; a label of a Service was changed by hand before
# NAMES: helm/logging|elasticsearch/logs memory|900Gi
# NOT_BLAMED: service/logs-es-http statefulset/logs-es-default
# REST: service/logs-es-http
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
G=elasticsearch.k8s.elastic.co
rel(){ chart logging; printf 'apiVersion: %s/v1\nkind: Elasticsearch\nmetadata: {name: logs}\nspec: {version: 8.15.0, nodeSets: [{name: default, count: 1, podTemplate: {spec: {containers: [{name: elasticsearch, resources: {requests: {memory: %s}}}]}}}]}\n' $G $1 > $CH/templates/c.yaml; h upgrade -i logging $CH >/dev/null; }
es(){ madeset logs-es-default docker.elastic.co/elasticsearch:8.15.0 1 "$(own elasticsearches.$G/logs)" "resources: {requests: {memory: $1}}" | op elastic-operator; }
say(){ said elasticsearches.$G/logs "{\"health\":\"$1\",\"phase\":\"$2\",\"availableNodes\":$3,\"conditions\":[$(cond ReconciliationComplete $4)]}" elastic-operator; }
baseline(){ crd $G v1 Elasticsearch elasticsearches; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: logs-es-http}\nspec: {selector: {app: logs-es-default}, ports: [{port: 9200}]}\n' | k apply -f -; rel 64Mi; es 64Mi; settled 1; say green Ready 1 True; }
inject(){ k label svc logs-es-http seen=yes; sleep 5; rel 900Gi; es 900Gi; sleep 3; say unknown ApplyingChanges 0 False; }
cured(){ [ "$(k get elasticsearches.$G/logs -o jsonpath='{.spec.nodeSets[0].podTemplate.spec.containers[0].resources.requests.memory}')" = 64Mi ]; }
mend(){ es 64Mi; sleep 1; k delete pod logs-es-default-0 --now; settled 1; say green Ready 1 True; }
main "$@"
