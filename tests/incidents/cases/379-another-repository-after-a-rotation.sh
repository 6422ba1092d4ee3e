#!/bin/bash
# SOURCE: own – a decoy: the login was rotated, rightly
# FAULT: the login of a registry was rotated, and works; minutes later a Deployment gets an image of a repository that does not exist: the registry says that access is denied
# NAMES: deployment/atlas image atlass*
# NOT_BLAMED: secret/regcred
# OUTCOME: recovered
# REST: secret/regcred
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ k create secret docker-registry regcred --docker-server=registry.local --docker-username=robot --docker-password=old; P='      imagePullSecrets: [{name: regcred}]' app atlas registry.local/maps/atlas:2 2 | k apply -f -; }
inject(){ k create secret docker-registry regcred --docker-server=registry.local --docker-username=robot --docker-password=new --dry-run=client -o json | python3 -c "
import json,sys
print(json.dumps({'data': json.load(sys.stdin)['data']}))" > $W/p.json; api patch secret regcred --patch-file $W/p.json; sleep 12; k set image deploy/atlas atlas=registry.local/maps/atlass:3-denied; }
main "$@"
