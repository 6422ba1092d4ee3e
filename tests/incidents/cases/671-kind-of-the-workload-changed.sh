#!/bin/bash
# SOURCE: after reports of charts – a StatefulSet is made of a Deployment
# FAULT: an upgrade makes a StatefulSet of a Deployment of the same name, with a bad image
# NAMES: helm/rel
# OUTCOME: recovered|approval
# APPROVE: deletes
# LEFT: deployment/web exists
# LEFT: statefulset/web gone
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'services:\n  web: {image: "registry.local/web:1.0", replicas: 2}\n  api: {image: "registry.local/api:1.0"}\n' | h upgrade -i rel $CHART -f - >/dev/null; }
inject(){ printf 'services:\n  web: {kind: StatefulSet, image: "registry.local/web:2.0-crash-exit3", replicas: 2}\n  api: {image: "registry.local/api:1.0"}\n' | h upgrade -i rel $CHART -f - >/dev/null; }
main "$@"
