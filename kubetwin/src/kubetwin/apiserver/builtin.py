# SPDX-License-Identifier: Apache-2.0
"""The resources a Kubernetes 1.36 API server serves by default, one line each.

Source: the discovery documents of Kubernetes 1.36 (``api/discovery``), generally available versions only.
Line: ``resource Kind N|C [short=a,b] [in=category,…] [verbs=…] [/subresource[:[group/version:]Kind][=verbs] …]``;
verbs default to the full set, those of a subresource to ``get,patch,update``.
"""

from __future__ import annotations

TABLE = """
@ v1
bindings Binding N verbs=create
componentstatuses ComponentStatus C short=cs verbs=get,list
configmaps ConfigMap N short=cm
endpoints Endpoints N short=ep
events Event N short=ev
limitranges LimitRange N short=limits
namespaces Namespace C short=ns verbs=create,delete,get,list,patch,update,watch /finalize=update /status
nodes Node C short=no /proxy:NodeProxyOptions=create,delete,get,patch,update /status
persistentvolumeclaims PersistentVolumeClaim N short=pvc /status
persistentvolumes PersistentVolume C short=pv /status
pods Pod N short=po in=all /attach:PodAttachOptions=create,get /binding:Binding=create /ephemeralcontainers \
 /eviction:policy/v1:Eviction=create /exec:PodExecOptions=create,get /log=get \
 /portforward:PodPortForwardOptions=create,get /proxy:PodProxyOptions=create,delete,get,patch,update /resize /status
podtemplates PodTemplate N
replicationcontrollers ReplicationController N short=rc in=all /scale:autoscaling/v1:Scale /status
resourcequotas ResourceQuota N short=quota /status
secrets Secret N
serviceaccounts ServiceAccount N short=sa /token:authentication.k8s.io/v1:TokenRequest=create
services Service N short=svc in=all /proxy:ServiceProxyOptions=create,delete,get,patch,update /status
@ apiregistration.k8s.io/v1
apiservices APIService C in=api-extensions /status
@ apps/v1
controllerrevisions ControllerRevision N
daemonsets DaemonSet N short=ds in=all /status
deployments Deployment N short=deploy in=all /scale:autoscaling/v1:Scale /status
replicasets ReplicaSet N short=rs in=all /scale:autoscaling/v1:Scale /status
statefulsets StatefulSet N short=sts in=all /scale:autoscaling/v1:Scale /status
@ events.k8s.io/v1
events Event N short=ev
@ authentication.k8s.io/v1
selfsubjectreviews SelfSubjectReview C verbs=create
tokenreviews TokenReview C verbs=create
@ authorization.k8s.io/v1
localsubjectaccessreviews LocalSubjectAccessReview N verbs=create
selfsubjectaccessreviews SelfSubjectAccessReview C verbs=create
selfsubjectrulesreviews SelfSubjectRulesReview C verbs=create
subjectaccessreviews SubjectAccessReview C verbs=create
@ autoscaling/v2
horizontalpodautoscalers HorizontalPodAutoscaler N short=hpa in=all /status
@ autoscaling/v1
horizontalpodautoscalers HorizontalPodAutoscaler N short=hpa in=all /status
@ batch/v1
cronjobs CronJob N short=cj in=all /status
jobs Job N in=all /status
@ certificates.k8s.io/v1
certificatesigningrequests CertificateSigningRequest C short=csr /approval /status
@ networking.k8s.io/v1
ingressclasses IngressClass C
ingresses Ingress N short=ing /status
ipaddresses IPAddress C short=ip
networkpolicies NetworkPolicy N short=netpol
servicecidrs ServiceCIDR C /status
@ policy/v1
poddisruptionbudgets PodDisruptionBudget N short=pdb /status
@ rbac.authorization.k8s.io/v1
clusterrolebindings ClusterRoleBinding C
clusterroles ClusterRole C
rolebindings RoleBinding N
roles Role N
@ storage.k8s.io/v1
csidrivers CSIDriver C
csinodes CSINode C
csistoragecapacities CSIStorageCapacity N
storageclasses StorageClass C short=sc
volumeattachments VolumeAttachment C /status
volumeattributesclasses VolumeAttributesClass C short=vac
@ admissionregistration.k8s.io/v1
mutatingadmissionpolicies MutatingAdmissionPolicy C in=api-extensions
mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding C in=api-extensions
mutatingwebhookconfigurations MutatingWebhookConfiguration C in=api-extensions
validatingadmissionpolicies ValidatingAdmissionPolicy C in=api-extensions /status
validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding C in=api-extensions
validatingwebhookconfigurations ValidatingWebhookConfiguration C in=api-extensions
@ apiextensions.k8s.io/v1
customresourcedefinitions CustomResourceDefinition C short=crd,crds in=api-extensions /status
@ scheduling.k8s.io/v1
priorityclasses PriorityClass C short=pc
@ coordination.k8s.io/v1
leases Lease N
@ node.k8s.io/v1
runtimeclasses RuntimeClass C
@ discovery.k8s.io/v1
endpointslices EndpointSlice N
@ resource.k8s.io/v1
deviceclasses DeviceClass C
resourceclaims ResourceClaim N /status
resourceclaimtemplates ResourceClaimTemplate N
resourceslices ResourceSlice C
@ flowcontrol.apiserver.k8s.io/v1
flowschemas FlowSchema C /status
prioritylevelconfigurations PriorityLevelConfiguration C /status
"""

# A resource served in several groups or versions is stored once: (group, version, resource) → what is stored.
STORED_AS = {
    ("events.k8s.io", "v1", "events"): ("", "v1", "events"),
    ("autoscaling", "v1", "horizontalpodautoscalers"): ("autoscaling", "v2", "horizontalpodautoscalers"),
}

# What is said to those who use them. Source: the prerelease-lifecycle functions of k8s.io/api.
DEPRECATED = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}

# The answer to a delete is the object for these, a Status for all others.
# Source: ReturnDeletedObject of the storages in pkg/registry.
RETURNS_DELETED = frozenset(
    (
        ("resource.k8s.io", "resourceclaimtemplates"),
        ("resource.k8s.io", "resourceslices"),
        ("resource.k8s.io", "resourceclaims"),
        ("resource.k8s.io", "deviceclasses"),
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "storageclasses"),
        ("storage.k8s.io", "volumeattachments"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "volumeattributesclasses"),
        ("", "resourcequotas"),
        ("", "persistentvolumes"),
        ("", "serviceaccounts"),
        ("", "persistentvolumeclaims"),
        ("", "namespaces"),
        ("", "pods"),
        ("", "services"),
        ("", "podtemplates"),
    )
)

# Field selectors beyond metadata.name and metadata.namespace, by storage group and resource.
# Source: the ``ToSelectableFields``/``SelectableFields`` functions and conversions in pkg/registry and pkg/apis.
SELECTABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "replicationcontrollers"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
    ("certificates.k8s.io", "certificatesigningrequests"): ("spec.signerName",),
}
