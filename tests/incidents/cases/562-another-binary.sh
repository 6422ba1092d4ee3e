#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym and https://github.com/microsoft/AIOpsLab – wrong_bin_usage
# FAULT: deleted and applied anew with the command of another program of the same image: it exits; an innocent restart of another one at the same time
# NAMES: deployment/profile command kubectl*
# NOT_BLAMED: deployment/geo "helm/hotel went to revision"
# OUTCOME: recovered|approval
# APPROVE: takeover
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ hotel | up hotel; }
inject(){ k rollout restart deploy/geo; reapply profile "c['command']=['geo']"; shown profile crash 'panic: invalid character g looking for beginning of value: listen tcp :8083'; }
main "$@"
