#!/bin/bash
# SOURCE: own, after reports of kubectl – an old file is applied
# FAULT: a person changed a Deployment well by files; a colleague applies a file from before that: a variable is gone, and the program ends
# NAMES: deployment/gateway TENANT_ID
# NOT_BLAMED: service/gateway
# OUTCOME: recovered
# LEFT: deployment/gateway {.spec.template.spec.containers[0].env[?(@.name=="TENANT_ID")].value} = t-9
# REST: service/gateway
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ C='        env: [{name: MODE, value: http}]' app gateway registry.local/gw:1.0 2 | k apply -f -; settled 2; C='        env: [{name: MODE, value: http}, {name: TENANT_ID, value: "t-9"}]' app gateway registry.local/gw:2.0 2 | k apply -f -; }
inject(){ k label svc gateway checked=yes; C='        env: [{name: MODE, value: http}]' app gateway registry.local/gw:2.0 2 | k apply -f -; shown gateway crash 'panic: required key TENANT_ID missing value'; }
main "$@"
