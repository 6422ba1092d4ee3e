#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – mutating_webhook_resource_limits (as a LimitRange does it)
# FAULT: a LimitRange gives each new container a memory limit that is too small; pods are replaced: OOMKilled; the Deployment has no word of it
# NAMES: limitrange/defaults
# NOT_BLAMED: deployment/user-service
# OUTCOME: refused|recovered|approval
# APPROVE: deletes
# WAIT: 18
# REST: deployment/nginx.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app user-service registry.local/social:0.3 2 9090; app nginx registry.local/openresty:1.19; } | k apply -f -; }
inject(){ k set env deploy/nginx X=y; settled 1; sleep 5; printf 'apiVersion: v1\nkind: LimitRange\nmetadata: {name: defaults}\nspec: {limits: [{type: Container, default: {memory: 16Mi}, defaultRequest: {memory: 16Mi}}]}\n' | k create -f -; k delete pod -l app=user-service --wait=false; brk deployment/user-service oom; }
cured(){ ! k get limitrange defaults; }
mend(){ mendd deployment/user-service; }
main "$@"
