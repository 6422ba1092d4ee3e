#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – ephemeral_port_range
# FAULT: a program patches a sysctl into two Deployments: they run, and have no port left to call others from; a third was restarted well
# NAMES: deployment/geo sysctls|securityContext
# NAMES: deployment/rate sysctls|securityContext
# NOT_BLAMED: deployment/search
# OUTCOME: recovered
# WAIT: 22
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ for d in geo rate search; do app $d registry.local/hotel:1.4 2; done | k apply -f -; }
inject(){ k rollout restart deploy/search; for d in geo rate; do api patch deploy $d -p '{"spec":{"template":{"spec":{"securityContext":{"sysctls":[{"name":"net.ipv4.ip_local_port_range","value":"40000 40001"}]}}}}}'; shown $d unready 'dial tcp: connect: cannot assign requested address'; done; }
main "$@"
