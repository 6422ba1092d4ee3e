#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 65_health_check_followup
# FAULT: none: it crashed twice and recovered, a rollout was undone, events still speak of it, a StatefulSet was scaled down and up
# BROKEN: no
# OUTCOME: nothing
# WAIT: 25
. "$(dirname "$0")/../lib.sh"
baseline(){ { app pay registry.local/pay:1 2; printf -- '---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: q}\nspec: {serviceName: q, replicas: 2, selector: {matchLabels: {app: q}}, template: {metadata: {labels: {app: q}}, spec: {containers: [{name: main, image: "q:1"}]}}}\n'; } | k apply -f -; }
inject(){ brk deployment/pay crash 'connection refused'; sleep 6; mendd deployment/pay; settled 4; k set image deploy/pay pay=registry.local/pay:2-missing; sleep 5; k rollout undo deploy/pay; k scale sts q --replicas=1; sleep 3; k scale sts q --replicas=2; settled 2; }
main "$@"
