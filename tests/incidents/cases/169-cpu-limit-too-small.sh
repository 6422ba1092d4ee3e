#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – cfs_cpu_throttling; https://github.com/itbench-hub/ITBench – 46: insufficient-kubernetes-workload-container-resources
# FAULT: a CPU limit of 5m: the program does not answer its readiness probe in time
# NAMES: deployment/geo cpu
# NOT_BLAMED: deployment/rate
# OUTCOME: recovered
# WAIT: 26
# REST: deployment/rate.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { C='        resources: {requests: {cpu: 50m}, limits: {cpu: 500m}}' app geo registry.local/hotel:1.4; app rate registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k set env deploy/rate TRACE=off; k set resources deploy geo --limits=cpu=5m --requests=cpu=5m; shown geo unready 'GetNearby took 9.8s'; }
main "$@"
