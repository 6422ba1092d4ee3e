#!/bin/bash
# SOURCE: after reports of kubectl – a paused Deployment can not be rolled back
# FAULT: kubectl set image to a bad image; a colleague pauses the rollout when the first pod fails
# NAMES: deployment/web image 2.0-crash-exit3
# OUTCOME: recovered|approval
# LEFT: deployment/web {.spec.template.spec.containers[0].image} = web:1.0
# REST: deployment/web.spec.paused
. "$(dirname "$0")/../lib.sh"
baseline(){ dep web web:1.0 3 | k apply -f -; }
inject(){ k set image deploy/web main=web:2.0-crash-exit3; sleep 5; k rollout pause deploy/web; }
main "$@"
