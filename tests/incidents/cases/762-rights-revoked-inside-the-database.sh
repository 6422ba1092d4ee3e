#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym and https://github.com/microsoft/AIOpsLab – revoke_auth_mongodb
# FAULT: the roles of the user were revoked inside of the database; the client's pod is replaced and exits; an innocent upgrade of the release 15 s before, and a restart of the database
# NOT_BLAMED: helm/hotel deployment/geo deployment/mongodb-geo
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ hotel '  search: {image: "registry.local/hotel:1.4", port: 8082}' | up hotel; k rollout restart deploy/mongodb-geo; settled 1; sleep 15; brk deployment/geo crash 'not authorized on geo-db to execute command { find: geo }'; k delete pod -l app=geo --wait=false; }
main "$@"
