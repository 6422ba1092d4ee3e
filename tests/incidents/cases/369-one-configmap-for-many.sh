#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – load_spike_rpc_retry_storm, capacity_decrease_rpc_retry_storm
# FAULT: kubectl patches a timeout in a ConfigMap that three programs read as environment, and restarts them: none gets ready; a fourth is restarted well
# NAMES: configmap/rpc GRPC_CLIENT_TIMEOUT
# NOT_BLAMED: deployment/geo deployment/rate deployment/profile deployment/search
# OUTCOME: recovered
# WAIT: 24
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rpc}\ndata: {GRPC_CLIENT_TIMEOUT: 5s, GRPC_CLIENT_RETRIES: "2"}\n'; for d in geo rate profile; do C='        envFrom: [{configMapRef: {name: rpc}}]' app $d registry.local/hotel:1.4; done; app search registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k patch cm rpc --type merge -p '{"data":{"GRPC_CLIENT_TIMEOUT":"1ms","GRPC_CLIENT_RETRIES":"30"}}'; for d in geo rate profile search; do k rollout restart deploy/$d; done; for d in geo rate profile; do brk deployment/$d unready 'context deadline exceeded'; done; }
cured(){ [ "$(k get cm rpc -o jsonpath='{.data.GRPC_CLIENT_TIMEOUT}')" = 5s ]; }
mend(){ mendd geo rate profile; }
main "$@"
