#!/bin/bash
# SOURCE: own – a rollout that was under way and is not any more: earlier pods serve, and its deadline passed before a minute did
# FAULT: the command of an init container that was always there waits for a file that never comes; a restart and a probe's period before it, and a label of its Service after it, are innocent
# NAMES: deployment/cartographer initContainers|ink command
# NOT_BLAMED: service/cartographer readinessProbe
# OUTCOME: recovered
# LEFT: deployment/cartographer {.spec.template.spec.containers[0].readinessProbe.periodSeconds} = 1
# REST: service/cartographer
# WAIT: 19
. "$(dirname "$0")/../lib.sh"
baseline(){ P='      initContainers: [{name: ink, image: "busybox:1.36", command: ["sh", "-c", "true"]}]' app cartographer registry.local/maps:7 2 | sed 's/progressDeadlineSeconds: 20/progressDeadlineSeconds: 14/' | k apply -f -; ready deploy/cartographer; k rollout restart deploy/cartographer; ready deploy/cartographer; k patch deploy cartographer --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/readinessProbe/periodSeconds","value":1}]'; }
inject(){ k patch deploy cartographer --field-manager=atlas-sync -p '{"spec":{"template":{"spec":{"initContainers":[{"name":"ink","command":["sh","-c","sleep 86400"]}]}}}}'; k label svc cartographer sheet=north; }
main "$@"
