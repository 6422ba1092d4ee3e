#!/bin/bash
# FAULT: somebody renames the port of a Service with kubectl; a ServiceMonitor asks for the old name, so that nothing is scraped any more, and nothing fails for it
# NAMES: service/meter ports
# NOT_BLAMED: servicemonitor/meter
# NOT_BLAMED: deployment/meter
# OUTCOME: recovered
# REST: deployment/meter
# LEFT: service/meter {.spec.ports[0].name} = metrics
. "$(dirname "$0")/../lib.sh"
baseline(){ kc apply -f - >/dev/null <<'Y'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: ServiceMonitor, plural: servicemonitors, singular: servicemonitor}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
Y
dep meter meter:1.0 1 | k apply -f - >/dev/null
for i in $(seq 1 30); do k get servicemonitors >/dev/null 2>&1 && break; sleep 0.5; done
printf 'apiVersion: v1\nkind: Service\nmetadata: {name: meter, labels: {app: meter}}\nspec: {selector: {app: meter}, ports: [{name: metrics, port: 80, targetPort: 8080}]}\n---\napiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: meter}\nspec: {selector: {matchLabels: {app: meter}}, endpoints: [{port: metrics}]}\n' | k apply -f - >/dev/null; ready deploy/meter; }
inject(){ k set env deploy/meter NOTE=1 >/dev/null; settled 1; k patch svc meter --type json -p '[{"op": "replace", "path": "/spec/ports/0/name", "value": "http"}]' >/dev/null; }
cleanup(){ :; }
main "$@"
