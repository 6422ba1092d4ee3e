#!/bin/bash
# SOURCE: own, after Kueue's plain pods – gates that whoever admits pods sets, and that nobody takes away: its controller is down
# FAULT: the template always had the gate; the program that takes it away stops, and an innocent image comes just then
# OUTCOME: nothing
# TOLD: queue.example/admission
# NOT_BLAMED: kubectl-set image
# READY: no
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
ungate(){ for p in $(k get po -l app=tallyman -o name); do k patch "$p" --type=json -p '[{"op":"remove","path":"/spec/schedulingGates"}]' >/dev/null 2>&1; done; true; }
baseline(){ P='      schedulingGates: [{name: queue.example/admission}]' app tallyman registry.local/tallyman:8 2 | sed 's/progressDeadlineSeconds: 20/progressDeadlineSeconds: 600/' | k apply -f -; for i in 1 2 3 4 5 6 7 8; do ungate; sleep 0.5; done; ready deploy/tallyman; }
inject(){ k set image deploy/tallyman tallyman=registry.local/tallyman:9; }
main "$@"
