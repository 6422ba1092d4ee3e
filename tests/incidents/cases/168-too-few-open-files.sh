#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – file_descriptor_exhaustion
# FAULT: a new command limits the open files; the program serves for some seconds, then ends, again and again
# NAMES: deployment/geo command|args
# OUTCOME: recovered
# WAIT: 30
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app geo registry.local/hotel:1.4; app rate registry.local/hotel:1.4; } | k apply -f -; }
inject(){ k patch deploy geo -p '{"spec":{"template":{"spec":{"containers":[{"name":"geo","command":["/bin/sh","-c"],"args":["ulimit -n 64 && exec geo"]}]},"metadata":{"annotations":{"twin.backout.dev/fault":"crash-after8s"}}}}}'; shown geo crash-after8s 'accept tcp [::]:8083: accept4: too many open files'; }
main "$@"
