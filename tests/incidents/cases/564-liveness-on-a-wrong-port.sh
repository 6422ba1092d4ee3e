#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – liveness_probe_misconfiguration
# FAULT: deleted and applied anew with a liveness probe on a port where nobody listens: it is restarted again and again
# NAMES: deployment/recommendation livenessProbe kubectl*
# NOT_BLAMED: "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 35
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ reapply recommendation "c['livenessProbe']={'httpGet':{'path':'/healthz','port':8080},'initialDelaySeconds':5,'periodSeconds':3,'failureThreshold':1}; p['terminationGracePeriodSeconds']=0"; shown recommendation unlive ''; }
main "$@"
