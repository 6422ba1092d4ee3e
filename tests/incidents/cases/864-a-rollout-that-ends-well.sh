#!/bin/bash
# SOURCE: own – every pod is replaced at once, on purpose, and the new ones take their time: nobody serves for a while, and nothing is broken
# FAULT: none: a lock file forbids two at a time, so its strategy is Recreate; a new version that needs 25 s, rolled out by a release tool of its own name
# BROKEN: no
# OUTCOME: nothing
# TOLD: "being rolled out"
# NOT_TOLD: "Nothing is broken."
# KEPT: deployment/lockkeeper {.spec.template.spec.containers[0].image} = registry.local/lockkeeper:5-slow25s
# WAIT: 9
. "$(dirname "$0")/../lib.sh"
baseline(){ app lockkeeper registry.local/lockkeeper:4 2 | sed 's/progressDeadlineSeconds: 20/progressDeadlineSeconds: 600\n  strategy: {type: Recreate}/' | k apply -f -; }
inject(){ k patch deploy lockkeeper --field-manager=weir-release -p '{"spec":{"template":{"spec":{"containers":[{"name":"lockkeeper","image":"registry.local/lockkeeper:5-slow25s"}]}}}}'; }
main "$@"
