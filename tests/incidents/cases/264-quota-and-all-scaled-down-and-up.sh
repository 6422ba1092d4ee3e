#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 102: insufficient-kubernetes-resource-quota
# FAULT: a quota that is too small; all workloads were scaled to 0 and back: some get no pods
# NAMES: resourcequota/astronomy-memory
# NOT_BLAMED: deployment/ad deployment/cart helm/astronomy
# OUTCOME: refused|recovered|approval
# APPROVE: deletes
# TOLD: quota
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'services:\n  ad: {image: "registry.local/ad:2.0", container: {resources: {requests: {memory: 100Mi}}}}\n  cart: {image: "registry.local/cart:2.0", container: {resources: {requests: {memory: 100Mi}}}}\n' | up astronomy; }
inject(){ printf 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: astronomy-memory}\nspec: {hard: {requests.memory: 120Mi}}\n' | k create --field-manager=OpenAPI-Generator -f -; for n in 0 1; do for d in ad cart; do api patch deploy $d --subresource=scale --type merge -p '{"spec":{"replicas":'$n'}}'; done; sleep 3; done; }
main "$@"
