#!/bin/bash
# SOURCE: own
# FAULT: one kubectl set image changes both containers of a Deployment: the program is good, its proxy can't be pulled; it was scaled in between
# NAMES: deployment/tickets image envoy|proxy
# OUTCOME: recovered
# REST: deployment/tickets.spec.replicas
. "$(dirname "$0")/../lib.sh"
baseline(){ { C='      - {name: proxy, image: "registry.local/envoy:1.28"}' app tickets registry.local/tickets:3.1 2; } | k apply -f -; }
inject(){ k set image deploy/tickets tickets=registry.local/tickets:3.2 proxy=registry.local/envoy:1.29-missing; sleep 3; k scale deploy tickets --replicas=3; }
main "$@"
