#!/bin/bash
# SOURCE: own
# FAULT: kubectl gives a StatefulSet a command that is not in the image; its scale was raised before and its ConfigMap's comment changed; no snapshot
# NAMES: statefulset/press command kubectl*
# NOT_BLAMED: configmap/press
# REST: configmap/press statefulset/press.spec.replicas
# OUTCOME: recovered
# LEFT: statefulset/press {.spec.replicas} = 3
# SNAP: no
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: press}\ndata: {a.txt: one}\n---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: press}\nspec: {serviceName: press, replicas: 2, minReadySeconds: 8, selector: {matchLabels: {app: press}}, template: {metadata: {labels: {app: press}}, spec: {volumes: [{name: c, configMap: {name: press}}], containers: [{name: main, image: "press:1", volumeMounts: [{name: c, mountPath: /c}]}]}}}\n' | k apply -f -; }
inject(){ k scale sts press --replicas=3; settled 20; k patch cm press --type merge -p '{"data":{"a.txt":"one # two"}}'; k patch sts press --type json -p '[{"op":"add","path":"/spec/template/spec/containers/0/command","value":["/opt/pres"]}]'; sleep 1; h=$(k get sts press -o jsonpath='{.status.updateRevision}'); printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-press", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: runerror, namespace: "%s", selector: "controller-revision-hash=%s"}\n' $NS $NS "$h" | rule; }
main "$@"
