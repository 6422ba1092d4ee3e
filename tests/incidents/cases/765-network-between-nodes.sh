#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – network_loss and network_delay; https://github.com/SREGym/SREGym – top_of_rack_router_failure
# FAULT: packets are lost: three programs are not ready any more at once; a good upgrade was over 20 s before
# NOT_BLAMED: helm/hotel deployment/frontend deployment/geo deployment/rate
# OUTCOME: nothing
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ hotel | sed 's/geo: {image: "registry.local\/hotel:1.4"/geo: {image: "registry.local\/hotel:1.4.2"/' | up hotel; settled 1; sleep 18; for d in frontend geo rate; do brk deployment/$d unready 'context deadline exceeded'; done; }
main "$@"
