#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – faulty_image_correlated
# FAULT: a program changed the image of four Deployments of a Helm release to a faulty one, between scales to 0 and to 1; an innocent upgrade before
# NAMES: deployment/geo image
# NAMES: deployment/rate image
# NAMES: deployment/profile image
# NAMES: deployment/recommendation image
# NOT_BLAMED: "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 15
# LIMIT: 200
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ hotel '  search: {image: "registry.local/hotel:1.4", port: 8082}' | up hotel; settled 1; sleep 6; for d in geo rate profile recommendation; do for p in '{"spec":{"replicas":0}}' '{"spec":{"template":{"spec":{"containers":[{"name":"'$d'","image":"registry.local/hotel:latest-crash"}]}}}}' '{"spec":{"replicas":1}}'; do api patch deploy $d -p "$p"; done; done; }
main "$@"
