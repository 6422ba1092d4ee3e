# SPDX-License-Identifier: Apache-2.0
"""The ClusterRoles that every cluster starts with, as far as users meet them.

Source: the default roles documented for Kubernetes RBAC and shown by a 1.36 cluster. Line: ``verbs | groups |
resources`` (``core`` is the empty group), ``verbs | url…`` for paths. READ, WRITE and ALL stand for sets of verbs.
"""

from __future__ import annotations

from typing import Any

_SETS = {
    "READ": "get list watch",
    "WRITE": "create delete deletecollection patch update",
    "ALL": "create delete deletecollection get list patch update watch",
}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

_ROLES: dict[str, str] = {
    "cluster-admin": """
        * | * | *
        * | *""",
    "system:aggregate-to-admin": """
        create | authorization.k8s.io | localsubjectaccessreviews
        ALL | rbac.authorization.k8s.io | rolebindings roles""",
    "system:aggregate-to-edit": """
        READ | core | pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy
        impersonate | core | serviceaccounts
        WRITE | core | pods pods/attach pods/exec pods/portforward pods/proxy
        create | core | pods/eviction
        WRITE | core | configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
serviceaccounts services services/proxy
        create | core | serviceaccounts/token
        WRITE | core events.k8s.io | events
        WRITE | apps | daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale \
statefulsets statefulsets/scale
        WRITE | autoscaling | horizontalpodautoscalers
        WRITE | batch | cronjobs jobs
        WRITE | extensions | daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies \
replicasets replicasets/scale replicationcontrollers/scale
        WRITE | policy | poddisruptionbudgets
        WRITE | networking.k8s.io | ingresses networkpolicies
        ALL | coordination.k8s.io | leases
        WRITE | resource.k8s.io | resourceclaims resourceclaimtemplates""",
    "system:aggregate-to-view": """
        READ | core | configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status
        READ | core | bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
resourcequotas resourcequotas/status
        READ | core | namespaces
        READ | core events.k8s.io | events
        READ | discovery.k8s.io | endpointslices
        READ | apps | controllerrevisions daemonsets daemonsets/status deployments deployments/scale \
deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status
        READ | autoscaling | horizontalpodautoscalers horizontalpodautoscalers/status
        READ | batch | cronjobs cronjobs/status jobs jobs/status
        READ | extensions | daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses \
ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale
        READ | policy | poddisruptionbudgets poddisruptionbudgets/status
        READ | networking.k8s.io | ingresses ingresses/status networkpolicies
        READ | resource.k8s.io | resourceclaims resourceclaims/status resourceclaimtemplates""",
    "system:auth-delegator": """
        create | authentication.k8s.io | tokenreviews
        create | authorization.k8s.io | subjectaccessreviews""",
    "system:basic-user": """
        create | authorization.k8s.io | selfsubjectaccessreviews selfsubjectrulesreviews
        create | authentication.k8s.io | selfsubjectreviews""",
    "system:discovery": """
        get | /api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/""",
    "system:monitoring": """
        get | /flagz /healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/* /statusz
        get | core | nodes/metrics""",
    "system:node-problem-detector": """
        get | core | nodes
        patch | core | nodes/status
        create patch update | core events.k8s.io | events""",
    "system:node-proxier": """
        list watch | core | endpoints services
        READ | core | nodes
        create patch update | core events.k8s.io | events
        list watch | networking.k8s.io | servicecidrs
        list watch | discovery.k8s.io | endpointslices""",
    "system:persistent-volume-provisioner": """
        create delete get list watch | core | persistentvolumes
        get list update watch | core | persistentvolumeclaims
        READ | storage.k8s.io | storageclasses
        watch | core | events
        create patch update | core events.k8s.io | events""",
    "system:public-info-viewer": """
        get | /healthz /livez /readyz /version /version/""",
    "system:service-account-issuer-discovery": """
        get | /.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/""",
    "system:volume-scheduler": """
        get list patch update watch | core | persistentvolumes
        READ | storage.k8s.io | storageclasses
        get list patch update watch | core | persistentvolumeclaims""",
}
_AGGREGATED = {"admin": (), "edit": ("admin",), "view": ("edit",)}
_BINDINGS = {
    "cluster-admin": ("system:masters",),
    "system:basic-user": ("system:authenticated",),
    "system:discovery": ("system:authenticated",),
    "system:monitoring": ("system:monitoring",),
    "system:public-info-viewer": ("system:authenticated", "system:unauthenticated"),
    "system:service-account-issuer-discovery": ("system:serviceaccounts",),
}
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS = {"rbac.authorization.kubernetes.io/autoupdate": "true"}


def _rules(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.strip().splitlines():
        verbs, *rest = (part.strip() for part in line.split("|"))
        rule: dict[str, Any] = {"verbs": _SETS.get(verbs, verbs).split()}
        if len(rest) == 1:
            rule["nonResourceURLs"] = rest[0].split()
        else:
            rule["apiGroups"] = ["" if group == "core" else group for group in rest[0].split()]
            rule["resources"] = rest[1].split()
        found.append(rule)
    return found


def _meta(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "labels": {**_LABELS, **(labels or {})}, "annotations": dict(_ANNOTATIONS)}


def cluster_roles() -> list[dict[str, Any]]:
    """The roles; aggregated ones have their rules filled in already."""
    api = {"kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1"}
    roles = []
    for name, text in _ROLES.items():
        target = name.removeprefix("system:aggregate-to-")
        labels = {AGGREGATE + target: "true"} if target != name else None
        roles.append({**api, "metadata": _meta(name, labels), "rules": _rules(text)})
    view = _rules(_ROLES["system:aggregate-to-view"])
    edit = _rules(_ROLES["system:aggregate-to-edit"]) + view
    rules = {"view": view, "edit": edit, "admin": _rules(_ROLES["system:aggregate-to-admin"]) + edit}
    for name, into in _AGGREGATED.items():
        selector = {"clusterRoleSelectors": [{"matchLabels": {AGGREGATE + name: "true"}}]}
        labels = {AGGREGATE + target: "true" for target in into}
        roles.append({**api, "metadata": _meta(name, labels), "aggregationRule": selector, "rules": rules[name]})
    return roles


def cluster_role_bindings() -> list[dict[str, Any]]:
    api_group = "rbac.authorization.k8s.io"
    return [
        {
            "kind": "ClusterRoleBinding",
            "apiVersion": f"{api_group}/v1",
            "metadata": _meta(name),
            "subjects": [{"kind": "Group", "apiGroup": api_group, "name": group} for group in groups],
            "roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": name},
        }
        for name, groups in _BINDINGS.items()
    ]
