#!/bin/bash
# SOURCE: own, after false alarms – the morning after nodes were rebooted
# FAULT: none any more: pods restarted once or twice and are ready, events still tell of a node that was not ready, of failed mounts and of probes; a good upgrade came after
# BROKEN: no
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
v(){ printf 'services:\n  desk: {image: "registry.local/desk:%s", replicas: 2}\n  vault: {kind: StatefulSet, image: "registry.local/vault:1", replicas: 2}\n' $1; }
baseline(){ v 1 | h upgrade -i office $CHART -f - >/dev/null; }
inject(){ brk deployment/desk crash; brk statefulset/vault crash; sleep 4; mendd desk vault; settled 4; for p in $(k get pod -o name); do ev $p NodeNotReady 'Node is not ready'; ev $p FailedMount 'MountVolume.SetUp failed for volume "kube-api-access": failed to sync configmap cache: timed out waiting for the condition'; ev $p Unhealthy 'Readiness probe failed: connection refused'; done; v 2 | h upgrade office $CHART -f - >/dev/null; settled 2; }
main "$@"
