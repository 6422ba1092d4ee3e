#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – auth_miss_mongodb
# FAULT: helm upgrade lets a database require TLS, which is ready as ever; it is scaled to 0 and 1; its client, which the upgrade did not touch, exits
# NAMES: helm/social tls*|args
# NOT_BLAMED: deployment/nginx-thrift
# OUTCOME: recovered|refused
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ social '' ', container: {args: ["--tlsMode=requireTLS", "--tlsCertificateKeyFile=/etc/tls/tls.pem"]}' | up social; settled 1; k scale deploy url-shorten-mongodb --replicas=0; sleep 2; k scale deploy url-shorten-mongodb --replicas=1; settled 1; brk deployment/url-shorten crash 'url-shorten-mongodb:27017: connection closed by peer: the server requires TLS: SSLHandshakeFailed'; }
cured(){ ! k get deploy url-shorten-mongodb -o yaml | grep -q requireTLS && serves deploy/url-shorten-mongodb; }
mend(){ mendd deployment/url-shorten; }
main "$@"
