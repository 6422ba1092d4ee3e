#!/bin/bash
# SOURCE: own
# FAULT: a pipeline replaces the binaryData of a ConfigMap, a trust store; the pods that start since do not trust the bank
# NAMES: configmap/trust binaryData|truststore.jks
# NOT_BLAMED: deployment/payments
# OUTCOME: recovered|approval
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
baseline(){ { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: trust}\nbinaryData: {truststore.jks: /u3+7QAAAAI=}\n---\n'; C='        volumeMounts: [{name: t, mountPath: /trust}]' P='      volumes: [{name: t, configMap: {name: trust}}]' app payments registry.local/pay:9 2; } | k apply -f -; }
inject(){ k patch cm trust --field-manager=jenkins --type=merge -p '{"binaryData":{"truststore.jks":"/u3+7QAAAAM="}}'; sleep 4; k rollout restart deploy/payments; brk deployment/payments crash 'javax.net.ssl.SSLHandshakeException: PKIX path building failed: unable to find valid certification path: trustStore /trust/truststore.jks'; }
cured(){ [ "$(k get cm trust -o jsonpath='{.binaryData.truststore\.jks}')" = /u3+7QAAAAI= ]; }
mend(){ mendd deployment/payments; }
main "$@"
