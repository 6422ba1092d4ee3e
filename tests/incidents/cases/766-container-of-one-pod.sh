#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – pod_failure and container_kill
# FAULT: a chaos experiment wrote a pause into the container of one of three pods, past its Deployment; an innocent upgrade before
# NOT_BLAMED: deployment/profile helm/hotel
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | sed 's/container: {command: \[profile\]}/replicas: 3/' | up hotel; }
inject(){ hotel '  search: {image: "registry.local/hotel:1.4", port: 8082}' | sed 's/container: {command: \[profile\]}/replicas: 3/' | up hotel; settled 1; sleep 12; brk "$(k get pod -l app=profile -o name | head -1)" crash 'exec: /pause: not found'; }
main "$@"
