#!/bin/bash
# SOURCE: own – a rollout that an outage interrupts
# FAULT: a partner's server goes down while a good upgrade is half-way: pods of the old and of the new image end alike, with the same words
# NOT_BLAMED: helm/ferry deployment/ferry
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  ferry: {image: "registry.local/ferry:%s", replicas: 4}\n  dock: {image: "registry.local/dock:1", replicas: 2}\n' $1; }
baseline(){ v 1 | h upgrade -i ferry $CHART -f - >/dev/null; }
inject(){ v 2-slow6s | h upgrade ferry $CHART -f - >/dev/null; sleep 9; brk deployment/ferry crash 'Get https://partner.example.com/v1: 503 Service Unavailable'; brk deployment/dock crash 'Get https://partner.example.com/v1: 503 Service Unavailable'; }
main "$@"
