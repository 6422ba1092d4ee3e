#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 11_init_containers (labs: init container)
# FAULT: kubectl apply changes an init container's command to one that does not exist
# NAMES: deployment/logging-agent initContainers*|command wge
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
mk(){ P="      initContainers: [{name: fetch, image: \"registry.local/tools:1\", command: [$1, \"http://index\"]}]" ; [ -z "${2:-}" ] || A='twin.backout.dev/fault: runerror'; app logging-agent registry.local/agent:2.1 2; }
baseline(){ mk wget | k apply -f -; }
inject(){ mk wge | k apply -f -; for i in 1 2 3 4 5 6; do x=$(k get rs -l app=logging-agent -o name | wc -l); [ "$x" = 2 ] && break; sleep 0.3; done; brkrev logging-agent runerror fetch; }
main "$@"
