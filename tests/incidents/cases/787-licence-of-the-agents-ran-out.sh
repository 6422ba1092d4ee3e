#!/bin/bash
# SOURCE: own
# FAULT: the licence of a vendor's agent ran out: the DaemonSet's pods exit on each node; its log level was changed 45 s before, and all of them ran
# NOT_BLAMED: daemonset/probe-agent
# OUTCOME: nothing
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
baseline(){ printf 'apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: probe-agent}\nspec: {selector: {matchLabels: {app: probe-agent}}, template: {metadata: {labels: {app: probe-agent}}, spec: {containers: [{name: agent, image: "vendor.example/agent:9.9", env: [{name: LOG, value: info}]}]}}}\n' | k apply -f -; }
inject(){ k set env ds/probe-agent LOG=warn; ready ds/probe-agent; sleep 45; brk daemonset/probe-agent crash-exit78 'license expired on 2026-11-29, contact sales'; }
main "$@"
