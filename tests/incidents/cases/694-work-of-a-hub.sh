#!/bin/bash
# SOURCE: own, after Open Cluster Management's documentation
# FAULT: the hub's ManifestWork has a bad image; the agent applied it: the Deployment's owner is an AppliedManifestWork that is no controller's
# NAMES: deployment/beacon image 3-crash-exit1
# OUTCOME: refused|approval
# APPROVE: owner
# TOLD: manifestwork*|appliedmanifestwork*|hub
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
amw(){ kc get appliedmanifestworks.work.open-cluster-management.io hub-$NS -o jsonpath='{.metadata.uid}'; }
work(){ app beacon registry.local/beacon:$1 2 | python3 -c '
import sys, yaml
for d in yaml.safe_load_all(sys.stdin):
    if d:
        d["metadata"]["ownerReferences"] = [{"apiVersion": "work.open-cluster-management.io/v1", "kind": "AppliedManifestWork", "name": sys.argv[1], "uid": sys.argv[2]}]
        print("---"); print(yaml.safe_dump(d))' hub-$NS $(amw) | op work-agent; }
baseline(){ printf 'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: appliedmanifestworks.work.open-cluster-management.io}\nspec: {group: work.open-cluster-management.io, scope: Cluster, names: {kind: AppliedManifestWork, plural: appliedmanifestworks, singular: appliedmanifestwork, listKind: AppliedManifestWorkList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}\n' | kc apply --server-side -f - >/dev/null; sleep 2; printf 'apiVersion: work.open-cluster-management.io/v1\nkind: AppliedManifestWork\nmetadata: {name: hub-%s}\nspec: {hubHash: abc, manifestWorkName: beacon}\n' $NS | kc apply -f -; work 2; }
inject(){ work 3-crash-exit1; }
cleanup(){ kc delete appliedmanifestworks.work.open-cluster-management.io hub-$NS --ignore-not-found --wait=false; }
main "$@"
