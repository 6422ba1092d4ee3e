#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – liveness_probe_misconfiguration (a command)
# FAULT: helm upgrade changes the command of a liveness probe to one that fails: containers are killed again and again; another Deployment of it got an image in the same upgrade
# NAMES: helm/stream livenessProbe
# OUTCOME: recovered
# WAIT: 30
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  ingest: {image: "registry.local/ingest:4", replicas: 2, container: {livenessProbe: {exec: {command: [%s]}, periodSeconds: 2, failureThreshold: 2}}}\n  egest: {image: "registry.local/egest:%s"}\n' "$1" "$2"; }
baseline(){ v '"true"' 4 | up stream; }
inject(){ v 'sh, -c, "exit 1"' 5 | up stream; }
main "$@"
