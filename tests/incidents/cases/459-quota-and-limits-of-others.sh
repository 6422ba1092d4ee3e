#!/bin/bash
# SOURCE: own
# FAULT: a LimitRange that was not there is created by a person; pods that are killed since can't be made again
# NAMES: limitrange/tenant
# NOT_BLAMED: deployment/renderer
# OUTCOME: approval
# APPROVE: deletes
# WAIT: 12
# KEPT: deployment/renderer same
# LEFT: limitrange/tenant gone
. "$(dirname "$0")/../lib.sh"
baseline(){ C='        resources: {requests: {memory: 200Mi}, limits: {memory: 200Mi}}' app renderer registry.local/renderer:1 2 | k apply -f - ; }
inject(){ printf 'apiVersion: v1\nkind: LimitRange\nmetadata: {name: tenant}\nspec: {limits: [{type: Container, max: {memory: 100Mi}}]}\n' | k create -f - ; k delete pods -l app=renderer --wait=false; }
main "$@"
