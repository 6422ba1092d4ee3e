#!/bin/bash
# SOURCE: own, after argo-rollouts' documentation – a pause without an end
# FAULT: none: a canary of a Rollout is at its pause, and waits for somebody to promote it; both versions serve
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
rs(){ printf 'apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: menu-%s, labels: {app: menu, rollouts-pod-template-hash: "%s"}, annotations: {rollout.argoproj.io/revision: "%s"}, ownerReferences: [%s]}\nspec: {replicas: %s, selector: {matchLabels: {app: menu, rollouts-pod-template-hash: "%s"}}, template: {metadata: {labels: {app: menu, rollouts-pod-template-hash: "%s"}}, spec: {containers: [{name: main, image: "%s"}]}}}\n' $1 $1 $3 "$(own rollouts.argoproj.io/menu)" $4 $1 $1 $2 | op rollouts-controller; }
ro(){ printf 'apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: menu}\nspec: {replicas: 4, strategy: {canary: {steps: [{setWeight: 25}, {pause: {}}]}}, selector: {matchLabels: {app: menu}}, template: {metadata: {labels: {app: menu}}, spec: {containers: [{name: main, image: "%s"}]}}}\n' $1 | k apply -f - >/dev/null; }
baseline(){ crd argoproj.io v1alpha1 Rollout rollouts; ro menu:1; rs aaa menu:1 1 4; said rollouts.argoproj.io/menu "{\"phase\":\"Healthy\",\"stableRS\":\"aaa\",\"currentPodHash\":\"aaa\",\"replicas\":4,\"readyReplicas\":4,\"availableReplicas\":4,\"updatedReplicas\":4,\"conditions\":[$(cond Available True AvailableReason),$(cond Healthy True RolloutHealthy)]}"; sleep 3; }
inject(){ ro menu:2; rs aaa menu:1 1 3; rs bbb menu:2 2 1; said rollouts.argoproj.io/menu "{\"phase\":\"Paused\",\"message\":\"CanaryPauseStep\",\"stableRS\":\"aaa\",\"currentPodHash\":\"bbb\",\"controllerPause\":true,\"pauseConditions\":[{\"reason\":\"CanaryPauseStep\",\"startTime\":\"$(date -u +%FT%TZ)\"}],\"replicas\":4,\"readyReplicas\":4,\"availableReplicas\":4,\"updatedReplicas\":1,\"conditions\":[$(cond Available True AvailableReason),$(cond Healthy False RolloutHealthy 'Rollout is not healthy'),$(cond Completed False RolloutCompleted),$(cond Paused True RolloutPaused),$(cond Progressing Unknown RolloutPaused 'Rollout is paused')]}"; sleep 2; }
main "$@"
