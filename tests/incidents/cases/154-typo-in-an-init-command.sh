#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 11_init_containers (labs: init container)
# FAULT: kubectl apply changes an init container's command to one that does not exist
# NAMES: deployment/logging-agent initContainers*|command wge
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
mk(){ P="      initContainers: [{name: fetch, image: \"registry.local/tools:1\", command: [$1, \"http://index\"]}]" ; app logging-agent registry.local/agent:2.1 2; }
baseline(){ mk wget | k apply -f -; }
inject(){ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-init", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: runerror, namespace: "%s", selector: "app=logging-agent", container: fetch}\n' "$NS" "$NS" | rule; mk wge | k apply -f -; }
cured(){ [ "$(k get deploy logging-agent -o jsonpath='{.spec.template.spec.initContainers[0].command[0]}')" = wget ]; }
mend(){ mendd init; }
main "$@"
