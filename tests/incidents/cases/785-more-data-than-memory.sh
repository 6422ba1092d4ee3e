#!/bin/bash
# SOURCE: after runbooks – a cache that grew for days; kubernaut memory-leak
# FAULT: a cache that grew for days is killed for its memory; 40 s before its release gave it MORE memory and another comment in its ConfigMap, and it ran
# NOT_BLAMED: helm/cachestack statefulset/lru configmap/lru-conf
# OUTCOME: nothing
# TOLD: memory|oomkilled
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
v(){ printf 'configs: {lru-conf: {lru.conf: "%s"}}\nservices:\n  lru: {kind: StatefulSet, image: "registry.local/lru:7", port: 6379, container: {resources: {limits: {memory: %s}}, volumeMounts: [{name: c, mountPath: /conf}]}, pod: {volumes: [{name: c, configMap: {name: lru-conf}}]}}\n' "$1" $2; }
baseline(){ v 'policy allkeys' 128Mi | h upgrade -i cachestack $CHART -f - >/dev/null; }
inject(){ v 'policy allkeys # as agreed' 192Mi | h upgrade cachestack $CHART -f - >/dev/null; settled 2; sleep 40; brk statefulset/lru oom-after3s; }
main "$@"
