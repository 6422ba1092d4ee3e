#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – liveness_probe_too_aggressive
# FAULT: deleted and applied anew with a liveness probe that waits for nothing, while the program needs some seconds until it answers
# NAMES: deployment/aux-service livenessProbe
# OUTCOME: recovered
# WAIT: 22
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { C='        livenessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 20, periodSeconds: 5, failureThreshold: 3}' app aux-service registry.local/aux:1.0-slow8s; app other registry.local/o:1; } | k apply -f -; }
inject(){ k rollout restart deploy/other; reapply aux-service "c['livenessProbe'].update(initialDelaySeconds=0, periodSeconds=1, failureThreshold=1); p['terminationGracePeriodSeconds']=0"; }
main "$@"
