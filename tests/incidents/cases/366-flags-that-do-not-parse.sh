#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – astronomy shop flagd; own
# FAULT: kubectl writes flags that do not parse into the ConfigMap of flagd, and flagd's pod is replaced: it does not start; others wait for it
# NAMES: configmap/flagd-config demo.flagd.json
# NOT_BLAMED: deployment/flagd deployment/ad
# OUTCOME: recovered|approval
# APPROVE: takeover
# MAY_FAIL: deployment/load-generator
# EXIT: 0|7|8
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy "$load" | up astronomy; }
inject(){ k patch cm flagd-config --type merge -p '{"data":{"demo.flagd.json":"{\"flags\": {\"adFailure\": {\"state\": "}}'; k delete pod -l app=flagd --wait=false; sleep 2; brk deployment/ad crash 'rpc error: dial tcp flagd:8013: connect: connection refused'; }
cured(){ k get cm flagd-config -o jsonpath='{.data.demo\.flagd\.json}' | grep -q '"off"' && serves deploy/flagd; }
mend(){ mendd deployment/ad; }
main "$@"
