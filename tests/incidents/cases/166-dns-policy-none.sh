#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – wrong_dns_policy
# FAULT: dnsPolicy None with a name server that knows no cluster names, then a restart; another program is restarted well at the same time
# NAMES: deployment/profile dnsPolicy|dnsConfig
# NOT_BLAMED: deployment/geo
# OUTCOME: recovered
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app profile registry.local/hotel:1.4 2; app geo registry.local/hotel:1.4 2; } | k apply -f -; }
inject(){ k rollout restart deploy/geo; k patch deploy profile --type json -p '[{"op":"replace","path":"/spec/template/spec/dnsPolicy","value":"None"},{"op":"add","path":"/spec/template/spec/dnsConfig","value":{"nameservers":["8.8.8.8"],"searches":[]}}]'; k rollout restart deploy/profile; shown profile crash 'panic: dial tcp: lookup mongodb-profile on 8.8.8.8:53: no such host'; }
main "$@"
