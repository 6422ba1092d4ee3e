#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 19, 61, 80, 81, 83, 91: scheduled-chaos-mesh-experiment
# FAULT: a chaos experiment, a custom resource, cuts the way between two programs; who calls exits; who is called was restarted well before, and its Service annotated
# NOT_BLAMED: deployment/checkout deployment/payment service/payment
# MAY_BLAME: networkchaos/cut
# OUTCOME: nothing
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ kc apply -f - >/dev/null <<'Y'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: networkchaos.chaos-mesh.org}
spec:
  group: chaos-mesh.org
  scope: Namespaced
  names: {kind: NetworkChaos, plural: networkchaos, singular: networkchaos, listKind: NetworkChaosList}
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
Y
{ app checkout registry.local/checkout:2.0 2; app payment registry.local/payment:2.0; } | k apply -f -; }
inject(){ k rollout restart deploy/payment; k annotate svc payment seen=1; settled 1; sleep 12; printf 'apiVersion: chaos-mesh.org/v1alpha1\nkind: NetworkChaos\nmetadata: {name: cut}\nspec: {action: partition, direction: both, mode: all, selector: {labelSelectors: {app: checkout}}, target: {mode: all, selector: {labelSelectors: {app: payment}}}}\n' | k create -f -; sleep 1; brk deployment/checkout crash 'could not charge the card: rpc error: dial tcp payment:8080: i/o timeout'; }
cleanup(){ kc delete crd networkchaos.chaos-mesh.org --ignore-not-found --wait=false; }
main "$@"
