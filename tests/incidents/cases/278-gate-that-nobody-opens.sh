#!/bin/bash
# SOURCE: own, after pod readiness gates of load balancers whose controller is not installed here
# FAULT: k9s adds a readiness gate to the template, two weeks too early: its containers run, its pods are never ready; a new image before it ran well, an autoscaler's annotation after it is innocent
# NAMES: deployment/barograph readinessGates|sky.example/calibrated
# NOT_BLAMED: image
# OUTCOME: recovered
# LEFT: deployment/barograph {.spec.template.spec.containers[0].image} = registry.local/barograph:2.1
# REST: deployment/barograph.annotations
# WAIT: 24
. "$(dirname "$0")/../lib.sh"
baseline(){ app barograph registry.local/barograph:2.0 2 | k apply -f -; ready deploy/barograph; k set image deploy/barograph barograph=registry.local/barograph:2.1; }
inject(){ k patch deploy barograph --field-manager=k9s -p '{"spec":{"template":{"spec":{"readinessGates":[{"conditionType":"sky.example/calibrated"}]}}}}'; k annotate deploy barograph weather.example/pressure=1013; }
main "$@"
