#!/bin/bash
# SOURCE: labs – dnsPolicy (DNS failure of one program)
# FAULT: kubectl patch sets a name server of one Deployment's own; its pods alone can't resolve names, though the log reads like an outage
# NAMES: deployment/search dnsPolicy|dnsConfig
# NOT_BLAMED: deployment/facets
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
baseline(){ { app search registry.local/s:1 2; app facets registry.local/f:1 2; } | k apply -f -; }
inject(){ k patch deploy search -p '{"spec":{"template":{"metadata":{"annotations":{"twin.backout.dev/fault":"crash"}},"spec":{"dnsPolicy":"None","dnsConfig":{"nameservers":["10.9.9.9"]}}}}}'; }
main "$@"
