#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym and https://github.com/itbench-hub/ITBench – readiness_probe, as it goes well
# FAULT: none: a readiness probe moved to another path that answers, a liveness probe added, more room asked for, a Service's session affinity, a policy that lets everything through
# BROKEN: no
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ k patch deploy user-service -p '{"spec":{"template":{"spec":{"containers":[{"name":"user-service","readinessProbe":{"httpGet":{"path":"/ready"}},"livenessProbe":{"httpGet":{"path":"/healthz","port":9090},"periodSeconds":3},"resources":{"requests":{"memory":"64Mi"}}}]}}}}'; k patch svc user-service -p '{"spec":{"sessionAffinity":"ClientIP"}}'; printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec: {podSelector: {}, ingress: [{}], egress: [{}], policyTypes: [Ingress, Egress]}\n' | k create -f -; settled 2; }
main "$@"
