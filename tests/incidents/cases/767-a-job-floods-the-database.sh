#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – valkey_memory_disruption
# FAULT: a new Job writes into the database until it is OOMKilled; nothing of the database was changed but an innocent label of its Service
# NOT_BLAMED: deployment/valkey-cart helm/astronomy service/valkey-cart
# MAY_BLAME: job/valkey-memory-flood
# OUTCOME: nothing
# WAIT: 18
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ k label svc valkey-cart owner=shop; sleep 10; printf 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: valkey-memory-flood}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: flooder, image: "python:3.10-slim"}]}}}\n' | k create --field-manager=OpenAPI-Generator -f -; sleep 3; brk deployment/valkey-cart oom; }
main "$@"
