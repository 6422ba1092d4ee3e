#!/bin/bash
# SOURCE: after runbooks – NodeFilesystemAlmostOutOfSpace; SREGym kubelet eviction
# FAULT: the disk of a node fills up: the kubelet evicts a pod that belongs there, the node is tainted, its successor is pending; an innocent variable by Helm 25 s before
# NOT_BLAMED: helm/imagery deployment/tiles
# MAY_BLAME: node/node-2
# OUTCOME: nothing
# TOLD: disk-pressure|diskpressure|"disk pressure"
# WAIT: 14
# LIMIT: 60
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  tiles: {image: "registry.local/tiles:8", container: {env: [{name: ZOOM, value: "%s"}]}, pod: {nodeSelector: {kubernetes.io/hostname: node-2}}}\n' $1; }
full(){ kc patch node node-2 --subresource=status --type strategic -p "{\"status\":{\"conditions\":[{\"type\":\"DiskPressure\",\"status\":\"$1\",\"reason\":\"KubeletHasDiskPressure\",\"message\":\"kubelet has disk pressure: $1\",\"lastTransitionTime\":\"$(date -u +%FT%TZ)\"}]}}"; }
baseline(){ v 17 | h upgrade -i imagery $CHART -f - >/dev/null; }
inject(){ v 18 | h upgrade imagery $CHART -f - >/dev/null; settled 1; sleep 25; p=$(k get pod -l app=tiles -o name | head -1)
full True; sleep 1
k patch $p --subresource=status --type merge -p '{"status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: ephemeral-storage. Threshold quantity: 2Gi, available: 1Gi."}}'; sleep 3; k get pod -l app=tiles; }
cleanup(){ full False; }
main "$@"
