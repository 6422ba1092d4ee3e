#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – 23: unsupported-architecture-kubernetes-workload-container-image
# FAULT: json patch of the image to one of another architecture in a Helm release of two good revisions
# NAMES: deployment/checkout image
# NOT_BLAMED: "helm/astronomy went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; settled 1; astronomy '  email: {image: "registry.local/email:2.0.2"}' | up astronomy; }
inject(){ api patch deploy checkout --type json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.local/hello-arm64:1.0.0"}]'; shown checkout crash 'exec /bin/hello: exec format error'; }
main "$@"
