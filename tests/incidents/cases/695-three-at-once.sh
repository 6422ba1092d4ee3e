#!/bin/bash
# SOURCE: after https://github.com/itbench-hub/ITBench – several faults at once
# FAULT: within half a minute a Secret is deleted by hand, another release's upgrade breaks a Service's port, and a Deployment gets an image with a typo
# NAMES: secret/stripe delet*|exist
# NAMES: helm/mailing targetPort|port*
# NAMES: deployment/cartd image cartdd*
# OUTCOME: recovered|approval
# APPROVE: takeover
# WAIT: 20
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ k create secret generic stripe --from-literal=KEY=k1; { C='        envFrom: [{secretRef: {name: stripe}}]' app billing registry.local/billing:1 2; app cartd registry.local/cartd:1 2; } | k apply -f -; chart mailing; app mailer registry.local/mailer:1 2 | sed 's/targetPort: 8080/targetPort: {{ .Values.tp }}/' > $CH/templates/a.yaml; printf 'tp: 8080\n' > $CH/values.yaml; h install mailing $CH >/dev/null; }
inject(){ k delete secret stripe; k rollout restart deploy/billing; sleep 6; h upgrade mailing $CH --set tp=8025 >/dev/null; sleep 6; k set image deploy/cartd cartd=registry.local/cartdd:1.1-missing; }
main "$@"
