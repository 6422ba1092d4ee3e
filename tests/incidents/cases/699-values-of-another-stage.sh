#!/bin/bash
# SOURCE: own, after reports of Helm – the values of another environment
# FAULT: helm upgrade with the values of staging: other hosts in a ConfigMap, fewer replicas, smaller limits; the program ends; then CI upgrades innocently, with reused values
# NAMES: helm/wallet
# NOT_BLAMED: deployment/rates
# OUTCOME: recovered
# LEFT: configmap/wallet-conf {.data.db} = db.prod
# REST: deployment/rates.labels
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ chart wallet; cp $CHART/templates/all.yaml $CH/templates/; app rates registry.local/rates:1 | k apply -f -; w prod 3 256Mi > $W/prod.yaml; h install wallet $CH -f $W/prod.yaml >/dev/null; }
w(){ printf 'configs: {wallet-conf: {db: db.%s}}\nnote: a\nservices:\n  wallet: {image: "registry.local/wallet:8", replicas: %s, checksum: true, container: {envFrom: [{configMapRef: {name: wallet-conf}}], resources: {limits: {memory: %s}}}}\n' $1 $2 $3; }
inject(){ CH=$W/chart; w staging 2 128Mi > $W/st.yaml; h upgrade wallet $CH -f $W/st.yaml >/dev/null; shown wallet crash 'dial tcp: lookup db.staging on 10.96.0.10:53: no such host'; k label deploy rates seen=yes; sleep 8; h upgrade wallet $CH --reuse-values --set note=b >/dev/null; }
main "$@"
