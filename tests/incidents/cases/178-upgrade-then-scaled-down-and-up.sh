#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – auth_miss_mongodb (the database itself)
# FAULT: helm upgrade lets a database ask for a certificate that is not there: it exits; it was scaled to 0 and to 1 after
# NAMES: helm/social args
# NOT_BLAMED: deployment/nginx-thrift
# OUTCOME: recovered
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ social '' ', container: {args: ["--tlsMode=requireTLS", "--tlsCertificateKeyFile=/etc/tls/tls.pem"]}' | up social; shown url-shorten-mongodb crash 'Failed to load TLS certificate: cannot read PEM file: /etc/tls/tls.pem: No such file or directory'; k scale deploy url-shorten-mongodb --replicas=0; sleep 3; k scale deploy url-shorten-mongodb --replicas=1; }
main "$@"
