#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – update_incompatible_correlated
# FAULT: the images of two databases were raised over several versions by a program, between a scale to 0 and to 1: they refuse the data that they find; the load generator ends by itself
# NAMES: deployment/mongodb-geo image 8.0*
# NAMES: deployment/mongodb-rate image 8.0*
# NOT_BLAMED: deployment/load-generator deployment/geo
# OUTCOME: recovered
# EXIT: 0|7|8
# MAY_FAIL: deployment/load-generator
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app geo registry.local/hotel:1.4; app mongodb-geo registry.local/mongo:4.4.6 1 27017; app mongodb-rate registry.local/mongo:4.4.6 1 27017; app load-generator registry.local/load:1-crash-exit1-after25s; } | k apply -f -; }
inject(){ for d in mongodb-geo mongodb-rate; do for p in '{"spec":{"replicas":0}}' '{"spec":{"template":{"spec":{"containers":[{"name":"'$d'","image":"registry.local/mongo:8.0.14-rc0"}]}}}}' '{"spec":{"replicas":1}}'; do api patch deploy $d -p "$p"; sleep 1; done; shown $d crash 'Wrong mongod version; UPGRADE PROBLEM: found an invalid featureCompatibilityVersion document (4.4). If the current featureCompatibilityVersion is below 7.0, see the documentation'; done; }
main "$@"
