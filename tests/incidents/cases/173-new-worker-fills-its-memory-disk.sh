#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – dev_shm_exhaustion
# FAULT: a new Deployment that never worked: it fills /dev/shm; nothing else is wrong
# NAMES: deployment/media-worker
# NOT_BLAMED: deployment/frontend
# OUTCOME: refused
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ app frontend registry.local/hotel:1.4 2 | k apply -f -; }
inject(){ k set env deploy/frontend A=b; settled 1; dep media-worker registry.local/media:1 1 | k create -f -; sleep 1; brk deployment/media-worker crash 'write /dev/shm/frame.bin: no space left on device'; }
main "$@"
