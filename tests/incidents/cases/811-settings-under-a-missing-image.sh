#!/bin/bash
# SOURCE: own
# FAULT: a ConfigMap is edited by hand, wrongly, and its reader restarted; before that shows anywhere, somebody else sets an image that is not there
# NAMES: deployment/web image 1.1-missing
# OUTCOME: stopped
# TOLD: configmap/web-settings
# EXIT: 7
# RUN: deployment/web
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-settings}\ndata: {POOL: "20"}\n---\n'; dep web web:1.0 2 | sed 's/image: "web:1.0",/image: "web:1.0", envFrom: [{configMapRef: {name: web-settings}}],/'; } | k apply -f -; }
inject(){ k patch cm web-settings -p '{"data":{"POOL":"2O"}}'; k rollout restart deploy/web; ready deploy/web; k set image deploy/web main=web:1.1-missing; }
main "$@"
