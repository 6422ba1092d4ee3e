#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – operator_security_context_fault (as a plain StatefulSet)
# FAULT: runAsUser of a StatefulSet to an id that may not read its data: it exits
# NAMES: statefulset/tikv runAsUser|securityContext
# OUTCOME: recovered
# REST: service/tikv.annotations
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'apiVersion: v1\nkind: Service\nmetadata: {name: tikv}\nspec: {clusterIP: None, selector: {app: tikv}, ports: [{port: 20160}]}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: tikv}\nspec: {serviceName: tikv, replicas: 2, selector: {matchLabels: {app: tikv}}, template: {metadata: {labels: {app: tikv}}, spec: {securityContext: {runAsUser: 1000}, containers: [{name: tikv, image: "registry.local/tikv:7.5", ports: [{containerPort: 20160}]}]}}}\n' | k apply -f -; }
inject(){ k patch sts tikv -p '{"spec":{"template":{"metadata":{"annotations":{"twin.backout.dev/fault":"crash"}},"spec":{"securityContext":{"runAsUser":1000740000}}}}}'; k annotate svc tikv seen=1; }
main "$@"
