#!/bin/bash
# SOURCE: own
# FAULT: a label on a ConfigMap and an edit of one that is not read, then a restart: all of that is harmless; an image that is not there is the only fault, and it goes back
# NAMES: deployment/web image 1.1-missing
# NOT_BLAMED: configmap/web-settings configmap/other
# OUTCOME: recovered
# REST: configmap/web-settings configmap/other
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-settings}\ndata: {POOL: "20"}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\ndata: {POOL: "20"}\n---\n'; dep web web:1.0 2 | sed 's/image: "web:1.0",/image: "web:1.0", envFrom: [{configMapRef: {name: web-settings}}],/'; } | k apply -f -; }
inject(){ k label cm web-settings team=red; k patch cm other -p '{"data":{"POOL":"x"}}'; k rollout restart deploy/web; ready deploy/web; k set image deploy/web main=web:1.1-missing; }
main "$@"
