#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – service_dns_resolution_failure
# FAULT: the name server answers for one name that there is no such; the Service exists and has its pods; two clients exit; one had an innocent change before
# NOT_BLAMED: deployment/compose-post deployment/nginx-thrift helm/social service/user-service
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ social | up social; }
inject(){ k set env deploy/nginx-thrift W=1; settled 1; sleep 15; brk deployment/compose-post crash 'lookup user-service.social.svc.cluster.local: no such host'; brk deployment/nginx-thrift crash 'lookup user-service.social.svc.cluster.local: no such host'; }
main "$@"
