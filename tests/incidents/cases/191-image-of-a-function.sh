#!/bin/bash
# SOURCE: own, after Knative's documentation – a Revision that never gets ready
# FAULT: kubectl gives a Knative Service an image whose program exits: the new Revision's Deployment fails, the Revision before still serves; a label of it was set before
# NAMES: hello image|2.0-crash-exit3 kubectl*
# NOT_BLAMED: deployment/hello-00002-deployment revision/hello-00002
# OUTCOME: recovered|approval|refused
# APPROVE: owner
# READY: no
# REST: deployment/hello-00002-deployment
# WAIT: 12
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../customs.sh"
K=serving.knative.dev
spec(){ printf '{template: {spec: {containers: [{name: user-container, image: "registry.local/hello:%s"}]}}}' $1; }
rev(){ printf 'apiVersion: %s/v1\nkind: Revision\nmetadata: {name: hello-0000%s, labels: {serving.knative.dev/service: hello}, ownerReferences: [%s]}\nspec: {containers: [{name: user-container, image: "registry.local/hello:%s"}]}\n' $K $1 "$(own configurations.$K/hello)" $2 | op controller; made hello-0000$1-deployment registry.local/hello:$2 1 "$(own revisions.$K/hello-0000$1)" | op controller; }
conf(){ printf 'apiVersion: %s/v1\nkind: Configuration\nmetadata: {name: hello, ownerReferences: [%s]}\nspec: %s\n' $K "$(own services.$K/hello)" "$(spec $1)" | op controller; }
baseline(){ crd $K v1 Service services $K v1 Configuration configurations $K v1 Revision revisions; printf 'apiVersion: %s/v1\nkind: Service\nmetadata: {name: hello}\nspec: %s\n' $K "$(spec 1.0)" | k apply -f -; conf 1.0; rev 1 1.0; for o in services.$K/hello configurations.$K/hello revisions.$K/hello-00001; do said $o "{\"conditions\":[$(cond Ready True)]}" controller; done; ready deploy/hello-00001-deployment; }
inject(){ k label services.$K/hello tier=edge; sleep 8; k patch services.$K/hello --type json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.local/hello:2.0-crash-exit3"}]'; conf 2.0-crash-exit3; rev 2 2.0-crash-exit3; sleep 5; said revisions.$K/hello-00002 "{\"conditions\":[$(cond Ready False ExitCode3 'Container failed with: exit code 3')]}" controller; for o in services configurations; do said $o.$K/hello "{\"conditions\":[$(cond Ready False RevisionFailed 'Revision hello-00002 failed with message: Container failed with: exit code 3')]}" controller; done; }
cured(){ [ "$(k get services.$K/hello -o jsonpath='{.spec.template.spec.containers[0].image}')" = registry.local/hello:1.0 ]; }
mend(){ conf 1.0; k delete revisions.$K/hello-00002 deploy/hello-00002-deployment; for o in services configurations; do said $o.$K/hello "{\"conditions\":[$(cond Ready True)]}" controller; done; }
main "$@"
