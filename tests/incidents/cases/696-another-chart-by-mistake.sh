#!/bin/bash
# SOURCE: own, after reports of Helm – an upgrade with the chart of something else
# FAULT: helm upgrade of a release with the chart of another application: what the release had is deleted, and what calls it exits
# NAMES: helm/accounts
# NOT_BLAMED: deployment/portal
# OUTCOME: recovered|approval
# APPROVE: deletes|recreate
# LEFT: deployment/accounts exists
# LEFT: service/accounts exists
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ chart accounts; app accounts registry.local/accounts:5 2 > $CH/templates/a.yaml; h install accounts $CH >/dev/null; C='        env: [{name: ACC, value: "accounts:8080"}]' app portal registry.local/portal:1 2 | k apply -f -; }
inject(){ chart newsletters "$W/other"; app newsletters registry.local/newsletters:1 1 > $CH/templates/n.yaml; h upgrade accounts $CH >/dev/null; sleep 2; brk deployment/portal crash 'dial tcp: lookup accounts on 10.96.0.10:53: no such host'; }
cured(){ serves deploy/accounts && k get svc accounts; }
mend(){ mendd deployment/portal; }
main "$@"
