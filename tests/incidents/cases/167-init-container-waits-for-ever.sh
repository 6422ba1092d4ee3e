#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – init_container_dependency_hang
# FAULT: kubectl apply adds an init container that waits for a Service that never was, then a restart
# NAMES: deployment/frontend wait-for-config|initContainers
# NOT_BLAMED: deployment/search
# OUTCOME: recovered
# WAIT: 24
# REST: deployment/search.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app frontend registry.local/hotel:1.4 2; app search registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k set image deploy/search search=registry.local/hotel:1.4.1; k get deploy frontend -o json | python3 -c "import json,sys; d=json.load(sys.stdin); [d['metadata'].pop(x,None) for x in ('managedFields','uid','resourceVersion','generation')]; d.pop('status'); d['spec']['template']['spec']['initContainers']=[{'name':'wait-for-config','image':'busybox:1.28','command':['sh','-c','echo waiting for legacy-config-service; sleep infinity']}]; json.dump(d,sys.stdout)" | k apply -f -; k rollout restart deploy/frontend; }
main "$@"
