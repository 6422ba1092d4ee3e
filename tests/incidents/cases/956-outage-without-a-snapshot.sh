#!/bin/bash
# SOURCE: own
# FAULT: a queue outside is down; a release was upgraded without harm 40 s before, and a StatefulSet of nobody's had its image changed; no snapshot
# NOT_BLAMED: helm/mill deployment/grinder statefulset/sieve
# OUTCOME: nothing
# SNAP: no
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  grinder: {image: "registry.local/grinder:%s", replicas: 2}\n' $1; }
baseline(){ v 1 | h upgrade -i mill $CHART -f - >/dev/null; printf 'apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: sieve}\nspec: {serviceName: sieve, replicas: 2, selector: {matchLabels: {app: sieve}}, template: {metadata: {labels: {app: sieve}}, spec: {containers: [{name: main, image: "sieve:1"}]}}}\n' | k apply -f -; }
inject(){ v 2 | h upgrade mill $CHART -f - >/dev/null; k set image sts/sieve main=sieve:2; settled 2; sleep 40; brk deployment/grinder crash 'amqp: dial tcp 203.0.113.9:5671: connect: no route to host'; brk statefulset/sieve crash 'amqp: dial tcp 203.0.113.9:5671: connect: no route to host'; }
main "$@"
