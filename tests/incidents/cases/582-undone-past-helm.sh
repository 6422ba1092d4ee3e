#!/bin/bash
# SOURCE: own, after reports of Helm and kubectl – rollout undo of what a release owns
# FAULT: release 2 is good and has no longer the ConfigMap that release 1 mounted; a person runs rollout undo on its Deployment: new pods can't mount
# NAMES: deployment/search-api kubectl* legacy-synonyms|volumes|undo|revision
# NOT_BLAMED: "helm/search went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ printf 'services:\n  search-api: {image: "registry.local/search:1.0", replicas: 2, container: {volumeMounts: [{name: s, mountPath: /s}]}, pod: {volumes: [{name: s, configMap: {name: legacy-synonyms}}]}}\nconfigs: {legacy-synonyms: {a: b}}\n' | up search; settled 2; printf 'services:\n  search-api: {image: "registry.local/search:2.0", replicas: 2}\n' | up search; }
inject(){ k rollout undo deploy/search-api; }
main "$@"
