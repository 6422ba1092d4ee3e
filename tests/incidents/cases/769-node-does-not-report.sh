#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – kubelet_crash
# FAULT: the kubelet of a node does not report any more; an innocent helm upgrade before
# NOT_BLAMED: helm/shop deployment/web deployment/ad
# MAY_BLAME: node/node-2
# OUTCOME: nothing
# TOLD: node-2
# WAIT: 14
# LIMIT: 60
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  web: {image: "registry.local/web:1.0", replicas: 4, container: {env: [{name: LEVEL, value: %s}]}}\n  ad: {image: "registry.local/ad:1.0", replicas: 2}\n' $1; }
node(){ kc get node node-2 -o json | python3 -c "import json,sys; n=json.load(sys.stdin); c=[x for x in n['status']['conditions'] if x['type']=='Ready'][0]; c['status']='$1'; c['reason']='$2'; print(json.dumps({'status':{'conditions':[c]}}))" > "$W/node.json"; kc patch node node-2 --subresource=status --patch-file "$W/node.json"; }
baseline(){ v info | up shop; }
inject(){ v debug | up shop; settled 1; sleep 10; node Unknown NodeStatusUnknown; }
cleanup(){ node True KubeletReady; sleep 3; }
main "$@"
