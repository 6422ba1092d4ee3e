#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – postgres_lock_contention
# FAULT: a new program of somebody else holds a lock in the database; another one, that got an innocent variable before, is not ready any more
# NOT_BLAMED: deployment/product-catalog helm/astronomy
# MAY_BLAME: deployment/lock-holder
# OUTCOME: nothing
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ k set env deploy/product-catalog LEVEL=info; settled 1; sleep 15; dep lock-holder registry.local/psql:16 1 | k create -f -; sleep 4; brk deployment/product-catalog unready 'canceling statement due to lock timeout'; }
main "$@"
