#!/bin/bash
# FAULT: somebody patches a broker so that it wants a login; it is ready as ever, and its caller, which nobody touched, exits when it is made anew
# NAMES: deployment/courier args
# NOT_BLAMED: deployment/parcel
# NOT_BLAMED: deployment/label
# OUTCOME: recovered|refused
# REST: deployment/label
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
baseline(){ { C='        args: ["--quiet"]' app courier courier:1.0 1 5672; app parcel parcel:1.0; app label label:1.0; } | k apply -f - >/dev/null; for d in courier parcel label; do ready deploy/$d; done; }
inject(){ k set env deploy/label NOTE=1 >/dev/null; settled 1; k patch deploy courier --type json -p '[{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["--quiet", "--require-auth"]}]' >/dev/null; settled 1; brk deployment/parcel crash 'AMQP error: courier:5672: 403 ACCESS_REFUSED: Authentication required'; }
cured(){ ! k get deploy courier -o yaml | grep -q require-auth && serves deploy/courier; }
mend(){ mendd deployment/parcel; }
main "$@"
