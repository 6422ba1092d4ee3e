#!/bin/bash
# SOURCE: own, after reports of Helm – replicas that somebody scaled meanwhile
# FAULT: an upgrade brings a bad image to one of two Deployments; while people look at it, somebody scales the other one up for the load
# NAMES: helm/live image 3.3-crash-exit5
# NOT_BLAMED: "scaled deployment/viewer"
# OUTCOME: recovered|approval
# APPROVE: takeover
# KEPT: deployment/viewer {.spec.replicas} = 4
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  encoder: {image: "registry.local/enc:%s", replicas: 2}\n  viewer: {image: "registry.local/view:1", replicas: 2}\n' $1; }
baseline(){ v 3.2 | up live; }
inject(){ v 3.3-crash-exit5 | up live; sleep 4; k scale deploy viewer --replicas=4; }
main "$@"
