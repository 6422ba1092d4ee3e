#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – priority_preemption_cascade; https://github.com/itbench-hub/ITBench – 42
# FAULT: a more important workload of another team took the memory of the nodes: our pod was preempted, and finds no room; an innocent env variable before
# NOT_BLAMED: deployment/reservation
# MAY_BLAME: deployment/training
# OUTCOME: nothing
# TOLD: memory
# WAIT: 14
# LIMIT: 60
# ALONE: yes
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
room(){ kc get node $1 -o jsonpath='{.status.allocatable.memory}' | python3 -c "import sys,re; n,u=re.match(r'(\d+)(\w*)',sys.stdin.read()).groups(); print(int(n)*{'':1,'Ki':2**10,'Mi':2**20,'Gi':2**30}[u]//2**20)"; }
baseline(){ P='      nodeSelector: {kubernetes.io/hostname: node-1}' C="        resources: {requests: {memory: $(( $(room node-1) * 6 / 10 ))Mi}}" app reservation registry.local/hotel:1.4 | k apply -f -; }
inject(){ k set env deploy/reservation LEVEL=info; settled 1; sleep 12; k create ns ${NS}x --dry-run=client -o yaml | kc apply -f -; k scale deploy reservation --replicas=0; sleep 2
printf 'apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: important-%s}\nvalue: 900000\n' $NS | kc apply -f -; dep training registry.local/t:1 1 | python3 -c "import sys,yaml,json; d=yaml.safe_load(sys.stdin); p=d['spec']['template']['spec']; p['priorityClassName']='important-$NS'; p['nodeSelector']={'kubernetes.io/hostname':'node-1'}; p['containers'][0]['resources']={'requests':{'memory':'$(( $(room node-1) * 7 / 10 ))Mi'}}; print(json.dumps(d))" | kc -n ${NS}x apply -f -; sleep 4; k scale deploy reservation --replicas=1; }
cleanup(){ kc delete ns ${NS}x --wait=false; kc delete priorityclass important-$NS; }
main "$@"
