#!/bin/bash
# SOURCE: after https://github.com/jordigilh/kubernaut-demo-scenarios – image-pull-failure (a login that was overwritten)
# FAULT: a script writes a wrong login into the pull secret; a quarter of a minute later a good image is deployed by helm: the registry refuses it
# NAMES: secret/regcred
# NOT_BLAMED: helm/crm deployment/crm
# OUTCOME: recovered|approval|refused
# WAIT: 18
# REST: deployment/crm.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
v(){ printf 'services:\n  crm: {image: "registry.local/crm:%s", replicas: 2, container: {imagePullPolicy: Always}, pod: {imagePullSecrets: [{name: regcred}]}}\n' $1; }
baseline(){ k create secret docker-registry regcred --docker-server=registry.local --docker-username=robot --docker-password=right; v 12.0 | up crm; }
inject(){ k create secret docker-registry regcred --docker-server=registry.local --docker-username=robot --docker-password=wr0ng --dry-run=client -o json | python3 -c "
import json,sys
print(json.dumps({'data': json.load(sys.stdin)['data']}))" > $W/p.json; api patch secret regcred --patch-file $W/p.json; brk deployment/crm denied; sleep 15; v 12.1 | up crm; }
cured(){ k get secret regcred -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d | grep -q '"password":"right"'; }
mend(){ mendd deployment/crm; }
main "$@"
