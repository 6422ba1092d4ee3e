#!/bin/bash
# SOURCE: https://github.com/helm/helm/issues/3675 – a Service that changed its type, and the way back
# FAULT: an upgrade makes a Service headless (after it was deleted by hand) and brings a bad image; the address can't be given back in place
# NAMES: helm/rel image 2.0-crash-exit3
# OUTCOME: recovered|approval
# APPROVE: recreate|deletes
# LEFT: service/web {.spec.clusterIP} != None
. "$(dirname "$0")/../lib.sh"
baseline(){ chart svc; dep web '{{ .Values.image }}' > $CH/templates/d.yaml; printf 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  {{- if .Values.headless }}\n  clusterIP: None\n  {{- end }}\n  selector: {app: web}\n  ports: [{port: 80, targetPort: 8080}]\n' > $CH/templates/s.yaml; printf 'image: web:1.0\nheadless: false\n' > $CH/values.yaml; h install rel $CH >/dev/null; }
inject(){ k delete svc web >/dev/null; h upgrade rel $CH --set image=web:2.0-crash-exit3,headless=true >/dev/null; }
main "$@"
