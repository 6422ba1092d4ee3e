#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym and https://github.com/microsoft/AIOpsLab – storage_user_unregistered
# FAULT: the user was removed inside of the database; the client's pod is replaced and exits; the client's env was changed 20 s before, and it ran
# NOT_BLAMED: deployment/rate helm/hotel
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ k set env deploy/rate CACHE=on; settled 1; sleep 18; brk deployment/rate crash 'server returned error on SASL authentication step: Authentication failed.'; k delete pod -l app=rate --wait=false; }
main "$@"
