#!/bin/bash
# SOURCE: own, after reports of kubectl – changes made while a rollout is paused begin when somebody resumes it
# FAULT: a Deployment was paused; one program sets a variable that breaks it, a person a good image; a third one resumes
# NAMES: deployment/matcher QUEUE_URL
# OUTCOME: recovered
# REST: deployment/matcher.spec.template.spec.containers
# LEFT: deployment/matcher {.spec.template.spec.containers[0].env[0].value} = amqp://queue:5672
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ C='        env: [{name: QUEUE_URL, value: "amqp://queue:5672"}]' app matcher registry.local/matcher:7.0 2 | k apply -f -; }
inject(){ k rollout pause deploy/matcher; sleep 2; api set env deploy/matcher QUEUE_URL=amqp://queue:5762; sleep 6; k set image deploy/matcher matcher=registry.local/matcher:7.1; sleep 6; k rollout resume deploy/matcher; shown matcher crash 'dial amqp://queue:5762: connect: connection refused'; }
main "$@"
