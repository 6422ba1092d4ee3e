#!/bin/bash
# SOURCE: own, after public post-mortems – kubectl delete in the wrong window
# FAULT: kubectl delete deployment,service with two names: two Deployments and their Services of a release are gone; what calls them exits
# NAMES: deployment/vouchers delet*|exist
# NAMES: service/vouchers delet*|exist
# NOT_BLAMED: deployment/tills "helm/retail went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover|recreate
# LEFT: deployment/points exists
# LEFT: service/points exists
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'services:\n  vouchers: {image: "registry.local/vouchers:1", replicas: 2}\n  points: {image: "registry.local/points:1"}\n  tills: {image: "registry.local/tills:1", replicas: 2, container: {env: [{name: V, value: "vouchers:8080"}, {name: P, value: "points:8080"}]}}\n' | up retail; }
inject(){ k delete deploy,svc vouchers points; sleep 1; brk deployment/tills crash 'dial tcp: lookup vouchers on 10.96.0.10:53: no such host'; }
cured(){ serves deploy/vouchers && k get svc vouchers; }
mend(){ mendd deployment/tills; }
main "$@"
