#!/bin/bash
# SOURCE: after reports of charts – a postStart hook that fails kills the container
# FAULT: helm upgrade adds a postStart hook whose command fails: the container is killed again and again; another release was upgraded just after
# NAMES: helm/api lifecycle|postStart
# NOT_BLAMED: helm/web
# REST: deployment/storefront.spec
# OUTCOME: recovered
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  invoice-api: {image: "registry.local/invoice:1.8", replicas: 2%s}\n' "${1:-}"; }
w(){ printf 'services:\n  storefront: {image: "registry.local/store:%s", replicas: 2}\n' "$1"; }
baseline(){ v | up api; w 5.0 | up web; }
inject(){ v ', container: {lifecycle: {postStart: {exec: {command: [/bin/sh, -c, "/opt/warm-cache.sh --all"]}}}}' | up api; shown invoice-api crash '/bin/sh: /opt/warm-cache.sh: not found'; sleep 4; w 5.1 | up web; }
main "$@"
