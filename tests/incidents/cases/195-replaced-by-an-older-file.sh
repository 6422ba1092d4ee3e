#!/bin/bash
# SOURCE: own, after public post-mortems – kubectl replace with what is in the repository
# FAULT: kubectl replace writes an older file over a StatefulSet: an older image that does not understand its data; it was scaled before
# NAMES: statefulset/timeline image 5.1
# NOT_BLAMED: deployment/timeline-api
# OUTCOME: recovered
# REST: statefulset/timeline.spec.replicas deployment/timeline-api.labels
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
sts(){ printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: timeline}\nspec: {serviceName: timeline, replicas: %s, selector: {matchLabels: {app: timeline}}, template: {metadata: {labels: {app: timeline}}, spec: {containers: [{name: main, image: "registry.local/timeline:%s"}]}}}\n' $1 $2; }
baseline(){ { sts 2 5.2; printf -- '---\n'; app timeline-api registry.local/api:1; } | k apply -f -; }
inject(){ k scale sts timeline --replicas=3; sleep 4; sts 3 5.1 | k replace -f -; h=; for i in 1 2 3 4 5 6 7 8; do h=$(k get sts timeline -o jsonpath='{.status.updateRevision}'); [ "$h" != "$(k get sts timeline -o jsonpath='{.status.currentRevision}')" ] && break; sleep 0.5; done
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-t", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash, namespace: "%s", selector: "controller-revision-hash=%s", log: "fatal: data format 52 is newer than this program understands (51)"}\n' "$NS" "$NS" "$h" | rule; k label deploy timeline-api seen=yes; }
main "$@"
