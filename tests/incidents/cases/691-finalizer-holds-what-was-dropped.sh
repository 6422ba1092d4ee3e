#!/bin/bash
# SOURCE: own, after reports of Helm – what an upgrade deletes waits for a finalizer
# FAULT: an upgrade drops a Service and brings a bad image; the Service has a finalizer of a load balancer and is still there, being deleted
# NAMES: helm/edge image 4.1-crash-exit3
# OUTCOME: stopped|refused|approval
# APPROVE: deletes|recreate
# TOLD: finalizer*|"being deleted"|terminat*
. "$(dirname "$0")/../lib.sh"
baseline(){ chart edge; dep proxy '{{ .Values.image }}' > $CH/templates/d.yaml; printf '{{- if .Values.public }}\napiVersion: v1\nkind: Service\nmetadata: {name: public, finalizers: [example.com/load-balancer]}\nspec: {selector: {app: proxy}, ports: [{port: 80, targetPort: 8080}]}\n{{- end }}\n' > $CH/templates/s.yaml; printf 'image: proxy:4.0\npublic: true\n' > $CH/values.yaml; h install edge $CH >/dev/null; }
inject(){ h upgrade edge $CH --set image=proxy:4.1-crash-exit3,public=false >/dev/null; }
check(){ [ "$EXIT" != 0 ] || [ -z "$(k get svc public -o jsonpath='{.metadata.deletionTimestamp}')" ] || { echo "says recovered, and a Service of the release is being deleted"; return 1; }; }
cleanup(){ k patch svc public --type=merge -p '{"metadata":{"finalizers":null}}'; }
main "$@"
