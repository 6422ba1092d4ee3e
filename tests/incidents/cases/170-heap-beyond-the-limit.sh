#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – astronomy shop kafka; own
# FAULT: kubectl set env: the heap of a JVM beyond the container's memory limit: OOMKilled, after an innocent image
# NAMES: deployment/kafka KAFKA_HEAP_OPTS
# OUTCOME: recovered
# LEFT: deployment/kafka {.spec.template.spec.containers[0].image} = registry.local/kafka:2.1
# REST: deployment/kafka.spec.template.spec.containers
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ C='        env: [{name: KAFKA_HEAP_OPTS, value: "-Xmx400m"}]
        resources: {limits: {memory: 600Mi}}' app kafka registry.local/kafka:2.0 1 9092 | k apply -f -; settled 2; k set image deploy/kafka kafka=registry.local/kafka:2.1; }
inject(){ k set env deploy/kafka KAFKA_HEAP_OPTS=-Xmx4g; shown kafka oom ''; }
main "$@"
