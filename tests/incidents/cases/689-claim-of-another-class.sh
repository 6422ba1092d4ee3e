#!/bin/bash
# FAULT: somebody deleted a claim so that an upgrade could give it another class; the upgrade brought a bad image, too. A claim does not move: it stays, with a yes, since its data may be other data
# NAMES: helm/rel image 2.0-crash-exit3
# NOT_BLAMED: configmap/banner
# OUTCOME: approval
# APPROVE: stays
# KEPT: persistentvolumeclaim/data {.spec.storageClassName} = roomy
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# REST: persistentvolumeclaim/data
. "$(dirname "$0")/../lib.sh"
mk(){ for class in quick roomy; do printf 'apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: %s}\nprovisioner: twin.backout.dev/hostpath\n' $class | kc apply -f - >/dev/null; done
chart move; dep web '{{ .Values.image }}' 1 > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: banner}\ndata: {text: "{{ .Values.class }}"}\n' > $CH/templates/c.yaml; cat > $CH/templates/pvc.yaml <<'Y'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: "{{ .Values.class }}", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
Y
printf 'class: quick\nimage: web:1.0\n' > $CH/values.yaml; }
baseline(){ mk; h install rel $CH >/dev/null; }
inject(){ k delete pvc data >/dev/null; h upgrade rel $CH --set class=roomy,image=web:2.0-crash-exit3 >/dev/null; }
main "$@"
