#!/bin/bash
# SOURCE: https://github.com/kubernetes/kubernetes/issues/22368 – ConfigMaps under hashed names, and what is pruned
# FAULT: kubectl apply of a new immutable ConfigMap under a hashed name, whose content does not load; the old one is pruned
# NAMES: deployment/web conf-2b7|configmap*
# OUTCOME: recovered|approval
# APPROVE: takeover
# LEFT: configmap/conf-1a6 exists
# REST: configmap/conf-2b7
. "$(dirname "$0")/../lib.sh"
mk(){ printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf-%s}\nimmutable: true\ndata: {"app.yaml": "%s"}\n---\n' $1 "$2"; C="        args: [\"--config-file=/etc/web/app.yaml\"]
        volumeMounts: [{name: c, mountPath: /etc/web}]" P="      volumes: [{name: c, configMap: {name: conf-$1}}]" app web registry.local/web:1.0 2; }
baseline(){ mk 1a6 'workers: 4' | k apply -f -; }
inject(){ mk 2b7 'workers: [4' | k apply -f -; sleep 6; k delete cm conf-1a6; }
main "$@"
