#!/bin/bash
# SOURCE: labs – readOnlyRootFilesystem
# FAULT: a security hardening by kubectl patch: the root file system is read only, and the program ends at its first write
# NAMES: deployment/report securityContext|readOnlyRootFilesystem
# OUTCOME: recovered
# REST: service/mail.labels
. "$(dirname "$0")/../lib.sh"
baseline(){ { app report registry.local/r:1 2; app mail registry.local/m:1; } | k apply -f -; }
inject(){ k label svc mail reviewed=yes; k patch deploy report -p '{"spec":{"template":{"spec":{"containers":[{"name":"report","securityContext":{"readOnlyRootFilesystem":true}}]}}}}'; brkrev report crash; }
main "$@"
