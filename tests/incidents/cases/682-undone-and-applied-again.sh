#!/bin/bash
# SOURCE: https://github.com/kubernetes/kubernetes/issues/94698 – rollout undo leaves last-applied-configuration as it was
# FAULT: a sidecar was renamed and crashed, rollout undo took that back; then the same file with a bad image is applied: the old sidecar stays beside the new one
# NAMES: deployment/web
# OUTCOME: recovered
# LEFT: deployment/web {.spec.template.spec.containers[*].name} = main b
. "$(dirname "$0")/../lib.sh"
mk(){ dep web web:1.0 2; printf '      - {name: %s, image: "%s"}\n' $1 $2; }
baseline(){ mk b b:1.0 | k apply -f -; }
inject(){ mk c c:1.0-crash | k apply -f -; sleep 5; k rollout undo deploy/web; settled 2; mk c c:1.1-crash-exit4 | k apply -f -; }
main "$@"
