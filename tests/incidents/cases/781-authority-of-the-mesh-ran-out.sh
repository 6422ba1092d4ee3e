#!/bin/bash
# SOURCE: own, after reports of meshes whose root certificate ran out
# FAULT: the mesh's authority ran out: the sidecars of two programs are not ready any more at once; a VirtualService and an image were changed without harm before
# NOT_BLAMED: virtualservice/front deployment/front deployment/back
# OUTCOME: nothing
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
side='      - {name: istio-proxy, image: "docker.io/istio/proxyv2:1.24", ports: [{containerPort: 15021}], readinessProbe: {httpGet: {path: /healthz/ready, port: 15021}, periodSeconds: 2}}'
vs(){ printf 'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: front}\nspec: {hosts: [front], http: [{timeout: %s, route: [{destination: {host: front, port: {number: 8080}}}]}]}\n' $1 | k apply -f - >/dev/null; }
baseline(){ crd networking.istio.io v1 VirtualService virtualservices; vs 5s; { C="$side" app front registry.local/front:1 2; C="$side" app back registry.local/back:1 2; } | k apply -f -; }
inject(){ k set image deploy/back back=registry.local/back:1.1; settled 1; vs 4s; sleep 30; for d in front back; do printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-%s", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: unready, namespace: "%s", workload: "Deployment/%s", container: istio-proxy, log: "failed to sign CSR: rpc error: x509: certificate signed by unknown authority"}\n' $NS $d $NS $d | rule; done; }
main "$@"
