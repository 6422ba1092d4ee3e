#!/bin/bash
# SOURCE: own, after Knative's documentation – nobody asks, nothing runs
# FAULT: none: a Knative Service went to zero; its Revision says that it is not active, for want of traffic; an older Revision is kept
# BROKEN: no
# OUTCOME: nothing
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
K=serving.knative.dev
rev(){ printf 'apiVersion: %s/v1\nkind: Revision\nmetadata: {name: hello-0000%s, labels: {serving.knative.dev/service: hello}, ownerReferences: [%s]}\nspec: {containers: [{name: user-container, image: "registry.local/hello:%s"}]}\n' $K $1 "$(own configurations.$K/hello)" $1 | op controller; made hello-0000$1-deployment registry.local/hello:$1 $2 "$(own revisions.$K/hello-0000$1)" | op controller; }
idle(){ said revisions.$K/$1 "{\"conditions\":[$(cond Active False NoTraffic 'The target is not receiving traffic.'),$(cond ContainerHealthy True),$(cond Ready True),$(cond ResourcesAvailable True)]}" controller; }
baseline(){ crd $K v1 Service services $K v1 Configuration configurations $K v1 Revision revisions; printf 'apiVersion: %s/v1\nkind: Service\nmetadata: {name: hello}\nspec: {template: {spec: {containers: [{image: "registry.local/hello:2"}]}}}\n' $K | k apply -f -; printf 'apiVersion: %s/v1\nkind: Configuration\nmetadata: {name: hello, ownerReferences: [%s]}\nspec: {template: {spec: {containers: [{image: "registry.local/hello:2"}]}}}\n' $K "$(own services.$K/hello)" | op controller; for o in services configurations; do said $o.$K/hello "{\"conditions\":[$(cond Ready True)]}" controller; done; rev 1 0; rev 2 1; idle hello-00001; said revisions.$K/hello-00002 "{\"conditions\":[$(cond Active True),$(cond Ready True)]}" controller; }
inject(){ k patch --field-manager=autoscaler deploy hello-00002-deployment --subresource=scale --type merge -p '{"spec":{"replicas":0}}'; idle hello-00002; sleep 3; }
main "$@"
