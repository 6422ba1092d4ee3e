#!/bin/bash
# SOURCE: own, after https://github.com/kubernetes-sigs/kustomize – namePrefix
# FAULT: kubectl apply -k with a name prefix makes everything of a program under other names; then the old ones are deleted: who calls it by its old name exits
# NAMES: service/geo|deployment/geo delet*|exist|exists
# NOT_BLAMED: deployment/router
# OUTCOME: recovered|approval|refused
# APPROVE: takeover|recreate
# REST: deployment/prod-geo service/prod-geo
# READY: no
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
kz(){ mkdir -p "$W/kz"; app geo registry.local/geo:6 2 > "$W/kz/app.yaml"; printf '%sresources: [app.yaml]\n' "${1:-}" > "$W/kz/kustomization.yaml"; k apply -k "$W/kz"; }
baseline(){ kz; C='        env: [{name: GEO, value: "geo:8080"}]' app router registry.local/router:6 2 | k apply -f -; }
inject(){ kz 'namePrefix: prod-
'; sleep 3; k delete deploy,svc geo; sleep 1; brk deployment/router crash 'dial tcp: lookup geo on 10.96.0.10:53: no such host'; }
cured(){ serves deploy/geo && k get svc geo; }
mend(){ mendd deployment/router; }
main "$@"
