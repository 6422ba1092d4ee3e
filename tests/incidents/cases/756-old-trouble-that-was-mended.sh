#!/bin/bash
# SOURCE: https://github.com/HolmesGPT/holmesgpt – 21_job_fail_curl_no_svc_account (a misleading past)
# FAULT: pods could not be made for a while (the ServiceAccount was missing, then it came); now the program can't resolve a name: the past has nothing to do with it
# NOT_BLAMED: serviceaccount/fetch deployment/fetch
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
sa(){ printf 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: fetch}\n'; }
baseline(){ P='      serviceAccountName: fetch' app fetch registry.local/fetch:1 2 | k apply -f -; sleep 4; sa | k apply -f -; ready deploy/fetch; }
inject(){ sleep 20; brk deployment/fetch crash 'curl: (6) Could not resolve host: data.example.org'; }
main "$@"
