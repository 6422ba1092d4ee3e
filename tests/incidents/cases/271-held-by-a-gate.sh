#!/bin/bash
# SOURCE: own, after KEP-3521 (pod scheduling readiness) – a gate whose program is not installed here
# FAULT: a colleague adds a scheduling gate to the template of a DaemonSet's neighbour, a Deployment; before it an env variable that rolled out well, after it an innocent label and a louder canary of others
# NAMES: deployment/ferryman schedulingGates|dock.example/berth
# NOT_BLAMED: TIDE
# OUTCOME: recovered
# RUN: deployment/ferryman
# LEFT: deployment/ferryman {.spec.template.spec.schedulingGates} =
# LEFT: deployment/ferryman {.spec.template.spec.containers[0].env[0].value} = high
# REST: deployment/ferryman.labels deployment/canary service/canary
# MAY_FAIL: deployment/canary
# TOLD: schedulingGates
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
baseline(){ app ferryman registry.local/ferryman:3.2 2 | sed 's/progressDeadlineSeconds: 20/progressDeadlineSeconds: 600/' | k apply -f -; ready deploy/ferryman; k set env deploy/ferryman TIDE=high; }
inject(){ k patch deploy ferryman --field-manager=harbour-master -p '{"spec":{"template":{"spec":{"schedulingGates":[{"name":"dock.example/berth"}]}}}}'; app canary registry.local/canary:0.1-crash 1 | k apply -f -; k label deploy ferryman shift=night; }
main "$@"
