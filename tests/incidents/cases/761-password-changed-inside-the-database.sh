#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – valkey_auth_disruption; https://github.com/itbench-hub/ITBench – 34
# FAULT: the password was changed inside of the running database; the client's pod is replaced and is refused; the client got an innocent image before
# NOT_BLAMED: deployment/cart deployment/valkey-cart helm/astronomy
# OUTCOME: nothing
# TOLD: password|authenticat*
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ k set image deploy/cart cart=registry.local/cart:2.0.3; settled 1; sleep 15; brk deployment/cart crash 'StackExchange.Redis.RedisConnectionException: NOAUTH Authentication required.'; k delete pod -l app=cart --wait=false; }
main "$@"
