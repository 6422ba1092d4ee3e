#!/bin/bash
# SOURCE: own, after https://github.com/kubernetes/kubernetes – no PriorityClass with name … was found
# FAULT: helm upgrade gives pods a priority class that the cluster does not have: no new pod is made; the old ones go on
# NAMES: helm/broker priorityClassName
# OUTCOME: recovered
# NOT_BLAMED: configmap/broker-conf
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  mqtt-broker: {image: "registry.local/mqtt:2.0", replicas: 3%s}\nconfigs: {broker-conf: {retain: "%s"}}\n' "$1" "$2"; }
baseline(){ v '' yes | up broker; }
inject(){ v ', pod: {priorityClassName: platform-critical}' no | up broker; }
main "$@"
