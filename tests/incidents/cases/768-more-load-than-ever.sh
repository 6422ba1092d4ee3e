#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – loadgenerator_flood_homepage; https://github.com/itbench-hub/ITBench – 1
# FAULT: the load generator was told by env to bring many more users; the frontend, which nobody changed, is OOMKilled
# NOT_BLAMED: deployment/frontend helm/astronomy
# MAY_BLAME: deployment/load-generator
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy '  load-generator: {image: "registry.local/load:2.0.2", container: {env: [{name: LOCUST_USERS, value: "10"}]}}' | up astronomy; }
inject(){ k set env deploy/load-generator LOCUST_USERS=5000; settled 1; sleep 4; brk deployment/frontend oom; }
main "$@"
