#!/bin/bash
# SOURCE: after reports of Kubernetes – maxUnavailable 0, a quota without room for a surge
# FAULT: a good image, but the rollout may take no pod away and the quota lets none come
# NAMES: quota|resourcequota*
# OUTCOME: recovered|approval|refused
# TOLD: quota
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: "3"}}\n---\n'; app web registry.local/web:1.0 2 | sed 's/^  replicas: 2/  replicas: 2\n  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}/'; printf -- '---\n'; dep side side:1 1; } | k apply -f -; }
inject(){ k set image deploy/web web=registry.local/web:1.1; }
main "$@"
