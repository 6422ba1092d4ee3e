#!/bin/bash
# FAULT: an upgrade by Helm 3 grew a claim, changed a ConfigMap that all programs read as environment, and brought an image that crashes; the claim can't shrink, all else goes back
# NAMES: helm/store image 2.0-crash-exit3
# NOT_BLAMED: deployment/cache
# OUTCOME: recovered
# KEPT: persistentvolumeclaim/archive same
# KEPT: persistentvolumeclaim/archive {.spec.resources.requests.storage} = 3Gi
# LEFT: deployment/api {.spec.template.spec.containers[0].image} = api:1.0
# LEFT: configmap/settings {.data.MODE} = calm
# REST: persistentvolumeclaim/archive deployment/cache
# NEEDS: HELM3
. "$(dirname "$0")/../lib.sh"
h3(){ timeout 120 "$HELM3" --kube-context "$CTX" -n "$NS" "$@"; }
mk(){ kc apply -f - >/dev/null <<'Y'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: growing}
provisioner: twin.backout.dev/hostpath
allowVolumeExpansion: true
Y
chart store; dep api '{{ .Values.image }}' 2 | sed 's/- {name: main,/- {name: main, envFrom: [{configMapRef: {name: settings}}],/' > $CH/templates/d.yaml
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {MODE: "{{ .Values.mode }}"}\n' > $CH/templates/c.yaml
cat > $CH/templates/pvc.yaml <<'Y'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: archive, labels: {tier: "{{ .Values.mode }}"}}
spec: {storageClassName: growing, accessModes: [ReadWriteOnce], resources: {requests: {storage: "{{ .Values.size }}"}}}
Y
printf 'size: 1Gi\nimage: api:1.0\nmode: calm\n' > $CH/values.yaml; }
baseline(){ mk; h3 install store $CH >/dev/null; dep cache cache:1.0 1 | k apply -f - >/dev/null; }
inject(){ k set env deploy/cache NOTE=moved >/dev/null; h3 upgrade store $CH --set size=3Gi,image=api:2.0-crash-exit3,mode=loud >/dev/null; }
# Helm's own history says the truth of every revision: the first is untouched, the last has the claim as it is.
check(){ h3 get manifest store --revision 1 | grep -q 'storage: "1Gi"' || { echo "revision 1 was rewritten"; return 3; }
h3 get manifest store | grep -q 3Gi || { echo "the newest revision does not say the claim as it is"; return 1; }
h3 upgrade store $CH --set size=3Gi >/dev/null || { echo "the release can't be upgraded any more"; return 3; }; }
main "$@"
