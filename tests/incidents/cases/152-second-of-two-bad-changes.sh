#!/bin/bash
# SOURCE: own
# FAULT: kubectl set env (harmless), then kubectl set image to one that crash-loops, by two actors within seconds
# NAMES: deployment/mailer image 5.1-crash
# OUTCOME: recovered
# LEFT: deployment/mailer {.spec.template.spec.containers[0].image} = registry.local/mailer:5.0
# REST: deployment/mailer.spec.template.spec.containers
. "$(dirname "$0")/../lib.sh"
baseline(){ app mailer registry.local/mailer:5.0 2 | k apply -f -; }
inject(){ k set env deploy/mailer VERBOSE=1; settled 1; k set image deploy/mailer mailer=registry.local/mailer:5.1-crash; }
main "$@"
