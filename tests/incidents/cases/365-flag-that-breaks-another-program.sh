#!/bin/bash
# SOURCE: after https://github.com/microsoft/AIOpsLab – astronomy_shop_ad_service_failure; https://github.com/itbench-hub/ITBench – 3
# FAULT: a feature flag was switched in a ConfigMap that flagd reads; ad, which only asks flagd, fails; ad got an innocent image before
# NOT_BLAMED: deployment/ad "helm/astronomy went to revision"
# MAY_BLAME: configmap/flagd-config
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# WAIT: 16
# REST: deployment/ad.spec
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ astronomy | up astronomy; }
inject(){ k set image deploy/ad ad=registry.local/ad:2.0.3; settled 1; sleep 14; k patch cm flagd-config --type merge -p '{"data":{"demo.flagd.json":"{\"flags\": {\"adFailure\": {\"state\": \"ENABLED\", \"defaultVariant\": \"on\"}}}"}}'; sleep 3; brk deployment/ad unready 'GetAds failed: flag adFailure is on'; }
cured(){ k get cm flagd-config -o jsonpath='{.data.demo\.flagd\.json}' | grep -q '"off"'; }
mend(){ mendd deployment/ad; }
main "$@"
