#!/bin/bash
# SOURCE: own – blue and green by a pipeline
# FAULT: none: a pipeline deployed green, moved the Service's selector to it, and scaled blue down; blue's own Service stays
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
side(){ printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: site-%s}\nspec: {replicas: %s, selector: {matchLabels: {app: site, colour: %s}}, template: {metadata: {labels: {app: site, colour: %s}}, spec: {containers: [{name: main, image: "registry.local/site:%s", ports: [{containerPort: 8080}], readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 2}}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: site-%s}\nspec: {selector: {app: site, colour: %s}, ports: [{port: 80, targetPort: 8080}]}\n---\n' $1 $3 $1 $1 $2 $1 $1; }
svc(){ printf 'apiVersion: v1\nkind: Service\nmetadata: {name: site}\nspec: {selector: {app: site, colour: %s}, ports: [{port: 80, targetPort: 8080}]}\n' $1; }
baseline(){ { side blue 1.0 3; svc blue; printf -- '---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: site}\nspec: {rules: [{host: site.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: site, port: {number: 80}}}}]}}]}\n'; } | k apply -f -; }
inject(){ side green 2.0 3 | k apply --field-manager=gitlab-runner --server-side -f -; settled 1; k patch --field-manager=gitlab-runner svc site --type merge -p '{"spec":{"selector":{"app":"site","colour":"green"}}}'; sleep 4; k scale --replicas=0 deploy/site-blue; settled 1; }
main "$@"
