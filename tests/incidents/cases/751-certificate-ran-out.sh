#!/bin/bash
# SOURCE: own
# FAULT: a certificate outside ran out: the program exits and says so; the image was changed 20 s before, and ran
# NOT_BLAMED: deployment/relay
# OUTCOME: nothing
# TOLD: certificate
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ app relay registry.local/relay:1 2 | k apply -f -; }
inject(){ k set image deploy/relay relay=registry.local/relay:2; settled 1; sleep 20; brk deployment/relay crash 'x509: certificate has expired or is not yet valid'; }
main "$@"
