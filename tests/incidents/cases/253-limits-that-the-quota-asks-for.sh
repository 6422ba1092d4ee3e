#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 78a_missing_cpu_limits
# FAULT: kubectl apply leaves out the limits that the namespace's quota asks for: no new pod is made
# NAMES: deployment/api-server resources|limits*
# OUTCOME: recovered
# TOLD: quota
. "$(dirname "$0")/../lib.sh"
mk(){ C="${1:-}" app api-server registry.local/api:1 2; }
baseline(){ { printf 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: compute-quota}\nspec: {hard: {limits.cpu: "4"}}\n---\n'; mk '        resources: {limits: {cpu: 200m}}'; } | k apply -f -; }
inject(){ mk '' | k apply -f -; }
main "$@"
