#!/bin/bash
# SOURCE: own, after kata-containers and gVisor rollouts that reach a cluster without the class
# FAULT: a release puts its programs into a sandbox (runtimeClassName) that this cluster does not have; a quota with room, made by others just then, is innocent
# NAMES: helm/beacon runtimeClassName
# NOT_BLAMED: resourcequota/lantern-oil
# OUTCOME: recovered
# LEFT: deployment/lamp {.spec.template.spec.runtimeClassName} =
# REST: resourcequota/lantern-oil
# RUN: helm/beacon
# WAIT: 14
. "$(dirname "$0")/../lib.sh"
demo(){ printf 'services:\n  lamp: {image: "registry.local/lamp:1.1", replicas: 2, pod: {%s}}\n' "$1" | h upgrade -i beacon $CHART -f - >/dev/null; }
baseline(){ demo 'enableServiceLinks: true'; }
inject(){ printf 'apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: lantern-oil}\nspec: {hard: {pods: "40"}}\n' | k apply --field-manager=storekeeper -f -; demo 'enableServiceLinks: true, runtimeClassName: kata-clh'; }
main "$@"
