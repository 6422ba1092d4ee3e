#!/bin/bash
# SOURCE: own, after false alarms – a quota without room, and nothing that needs any
# FAULT: none: the quota is used up to its last pod, a LimitRange fits, a claim is bound, a budget allows nothing; a person labelled and restarted something within the room there was before
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
baseline(){ { app web registry.local/web:1 2; app batch registry.local/batch:1 1; printf -- '---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: pods}\nspec: {hard: {pods: "5"}}\n---\napiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\nspec: {limits: [{type: Container, default: {memory: 256Mi}, defaultRequest: {memory: 16Mi}}]}\n'; } | k apply -f -; }
inject(){ k rollout restart deploy/batch; settled 1; k scale deploy batch --replicas=3; settled 1; k label deploy web team=x; }
main "$@"
