#!/bin/bash
# SOURCE: after https://github.com/HolmesGPT/holmesgpt – wrong arguments, without a snapshot
# FAULT: an upgrade gives an argument that the program does not know; a Service's label was edited by hand just before; no snapshot
# NAMES: helm/parcel args|--trace-everything
# NOT_BLAMED: service/parcel
# REST: service/parcel
# OUTCOME: recovered
# KEPT: service/parcel {.metadata.labels.owner} = dispatch
# SNAP: no
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
v(){ printf 'services:\n  parcel: {image: "registry.local/parcel:4", replicas: 2, container: {args: [%s], startupProbe: {httpGet: {path: /healthz, port: http}, initialDelaySeconds: 8, periodSeconds: 2, failureThreshold: 20}}}\n  stamps: {image: "registry.local/stamps:1"}\n' "$1"; }
baseline(){ v '"--port=8080"' | h upgrade -i parcel $CHART -f - >/dev/null; }
inject(){ k label svc parcel owner=dispatch; sleep 3; v '"--port=8080", "--trace-everything"' | h upgrade parcel $CHART -f - >/dev/null; brkrev parcel crash-exit2; }
cured(){ [ "$(k get deploy parcel -o jsonpath='{.spec.template.spec.containers[0].args}')" = '["--port=8080"]' ]; }
mend(){ mendd deployment/parcel; }
main "$@"
