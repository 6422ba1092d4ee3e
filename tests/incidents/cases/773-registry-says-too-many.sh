#!/bin/bash
# SOURCE: own, after reports of pull rate limits (toomanyrequests)
# FAULT: pods are replaced after a drain, and the registry refuses: too many pulls; the image is the one that ran; a release gave the pods a new label 25 s before, and all of them ran
# NOT_BLAMED: helm/feed deployment/feed
# MAY_BLAME: node/node-1 node/node-2
# OUTCOME: nothing
# TOLD: registry
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
v(){ printf 'services:\n  feed: {image: "docker.io/library/feed:3.3", replicas: 3, annotations: {cost: "%s"}}\n' $1; }
baseline(){ v low | h upgrade -i feed $CHART -f - >/dev/null; }
inject(){ v high | h upgrade feed $CHART -f - >/dev/null; settled 1; sleep 25; brk deployment/feed denied; k delete pod -l app=feed --wait=false; sleep 5; for p in $(k get pod -l app=feed -o name); do ev $p Failed 'Failed to pull image "docker.io/library/feed:3.3": 429 Too Many Requests - toomanyrequests: You have reached your pull rate limit'; done; }
main "$@"
