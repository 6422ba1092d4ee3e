#!/bin/bash
# SOURCE: own, after reports of Helm – a hotfix by hand that the next upgrade takes away
# FAULT: an image had been set by hand past Helm, and all was well; CI upgrades the release with an innocent value and takes it away: the program of the chart does not run any more, in no revision
# NAMES: helm/tariff|deployment/tariff image
# OUTCOME: recovered|approval|refused
# APPROVE: takeover
# NOT_BLAMED: deployment/meter
# REST: deployment/tariff.labels
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ chart tariff; app tariff '{{ .Values.image }}' 2 | sed 's/metadata: {name: tariff, labels: {app: tariff}}/metadata: {name: tariff, labels: {app: tariff, note: "{{ .Values.note }}"}}/' > $CH/templates/a.yaml; printf 'image: registry.local/tariff:1.0\nnote: a\n' > $CH/values.yaml; h install tariff $CH >/dev/null; dep meter meter:1 1 | k apply -f -; settled 1; k set image deploy/tariff tariff=registry.local/tariff:1.0-hotfix; settled 1; }
inject(){ CH=$W/chart; h upgrade tariff $CH --set note=b --force-conflicts >/dev/null; h2=$(k get rs -l app=tariff -o jsonpath='{range .items[?(@.spec.replicas>0)]}{.metadata.annotations.deployment\.kubernetes\.io/revision} {.metadata.labels.pod-template-hash} {.spec.template.spec.containers[0].image}{"\n"}{end}' | grep 'tariff:1.0$' | tail -1 | cut -d' ' -f2); printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "brk-%s-t", labels: {twin.backout.dev/fault-rule: "true"}}\ndata: {fault: crash, namespace: "%s", selector: "pod-template-hash=%s", log: "fatal: tariff table of 2025 is not understood"}\n' "$NS" "$NS" "$h2" | rule; }
main "$@"
