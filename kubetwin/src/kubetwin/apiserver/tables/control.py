# SPDX-License-Identifier: Apache-2.0
"""Tables of what governs the cluster: access rights, admission, certificates, leases, priorities, API services."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubetwin.apiserver.tables.columns import AGE, NAME, Cell, Column, Printer, wide
from kubetwin.apiserver.tables.text import Obj, age, human_duration, selector_text


def _binding(obj: Obj, now: datetime) -> list[Cell]:
    users, groups, accounts = [], [], []
    for subject in obj.get("subjects") or ():
        if subject.get("kind") == "ServiceAccount":
            accounts.append(f"{subject.get('namespace', '')}/{subject['name']}")
        elif subject.get("kind") == "User":
            users.append(subject["name"])
        elif subject.get("kind") == "Group":
            groups.append(subject["name"])
    reference = obj["roleRef"]
    return [
        obj["metadata"]["name"],
        f"{reference['kind']}/{reference['name']}",
        age(obj, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    ]


def _binding_columns(kind: str, doc: str) -> Sequence[Column]:
    return (
        NAME,
        Column("Role", f"@rbac.authorization.k8s.io/v1/{kind}:roleRef"),
        AGE,
        wide("Users", f"Users in the {doc}"),
        wide("Groups", f"Groups in the {doc}"),
        wide("ServiceAccounts", f"ServiceAccounts in the {doc}"),
    )


def _webhooks(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], len(obj.get("webhooks") or ()), age(obj, now)]


def _param_kind(spec: Obj) -> str:
    kind = spec.get("paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


def _validating_policy(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    return [obj["metadata"]["name"], len(spec.get("validations") or ()), _param_kind(spec), age(obj, now)]


def _mutating_policy(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    return [obj["metadata"]["name"], len(spec.get("mutations") or ()), _param_kind(spec), age(obj, now)]


def _policy_binding(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    name, reference = "<unset>", spec.get("paramRef")
    if reference and reference.get("name"):
        name = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference and reference.get("selector") is not None:
        name = selector_text(reference["selector"])
    return [obj["metadata"]["name"], spec.get("policyName", ""), name, age(obj, now)]


def _signing_request(obj: Obj, now: datetime) -> list[Cell]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kinds = {condition.get("type") for condition in status.get("conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    state += ",Failed" if "Failed" in kinds else ""
    state += ",Issued" if status.get("certificate") else ""
    seconds = spec.get("expirationSeconds")
    return [
        obj["metadata"]["name"],
        age(obj, now),
        spec.get("signerName") or "<none>",
        spec.get("username", ""),
        "<none>" if seconds is None else human_duration(seconds),
        state,
    ]


def _trust_bundle(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], (obj.get("spec") or {}).get("signerName") or "<none>"]


def _lease(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], (obj.get("spec") or {}).get("holderIdentity") or "", age(obj, now)]


def _priority_class(obj: Obj, now: datetime) -> list[Cell]:
    return [
        obj["metadata"]["name"],
        obj.get("value", 0),
        obj.get("globalDefault", False),
        age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


def _runtime_class(obj: Obj, now: datetime) -> list[Cell]:
    return [obj["metadata"]["name"], obj.get("handler", ""), age(obj, now)]


def _flow_schema(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    dangling = [c for c in (obj.get("status") or {}).get("conditions") or () if c.get("type") == "Dangling"]
    return [
        obj["metadata"]["name"],
        (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type", "<none>"),
        age(obj, now),
        dangling[0].get("status", "") if dangling else "?",
    ]


def _priority_level(obj: Obj, now: datetime) -> list[Cell]:
    spec = obj.get("spec") or {}
    cells: list[Cell] = ["<none>"] * 4
    if (limited := spec.get("limited")) is not None:
        cells[0] = limited.get("nominalConcurrencyShares", 0)
        if (queuing := (limited.get("limitResponse") or {}).get("queuing")) is not None:
            cells[1:] = [queuing.get(field, 0) for field in ("queues", "handSize", "queueLengthLimit")]
    return [obj["metadata"]["name"], spec.get("type", ""), *cells, age(obj, now)]


def _api_service(obj: Obj, now: datetime) -> list[Cell]:
    service = (obj.get("spec") or {}).get("service")
    state = "Unknown"
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Available":
            state, reason = condition.get("status", ""), condition.get("reason")
            if state != "True" and reason:
                state = f"{state} ({reason})"
            break
    return [
        obj["metadata"]["name"],
        f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local",
        state,
        age(obj, now),
    ]


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_CSR = "@certificates.k8s.io/v1/CertificateSigningRequest"
_PRIORITY = "@scheduling.k8s.io/v1/PriorityClass"
_FLOW = "@flowcontrol.apiserver.k8s.io/v1"
_LEVEL = f"{_FLOW}/PriorityLevelConfiguration:spec"
_WEBHOOKS = Printer(
    (
        NAME,
        Column("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration", "integer"),
        AGE,
    ),
    _webhooks,
)
_PARAM_KIND = Column("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy")
_POLICY_BINDING = Printer(
    (
        NAME,
        Column("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        Column("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
        AGE,
    ),
    _policy_binding,
)

PRINTERS: dict[tuple[str, str], Printer] = {
    (_RBAC, "rolebindings"): Printer(_binding_columns("RoleBinding", "roleBinding"), _binding),
    (_RBAC, "clusterrolebindings"): Printer(_binding_columns("ClusterRoleBinding", "clusterRoleBinding"), _binding),
    (_ADMISSION, "mutatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "validatingwebhookconfigurations"): _WEBHOOKS,
    (_ADMISSION, "validatingadmissionpolicies"): Printer(
        (
            NAME,
            Column(
                "Validations",
                "Validations indicates the number of validation rules defined in this configuration",
                "integer",
            ),
            _PARAM_KIND,
            AGE,
        ),
        _validating_policy,
    ),
    (_ADMISSION, "mutatingadmissionpolicies"): Printer(
        (
            NAME,
            Column(
                "Mutations", "Mutation indicates the number of mutations rules defined in this configuration", "integer"
            ),
            _PARAM_KIND,
            AGE,
        ),
        _mutating_policy,
    ),
    (_ADMISSION, "validatingadmissionpolicybindings"): _POLICY_BINDING,
    (_ADMISSION, "mutatingadmissionpolicybindings"): _POLICY_BINDING,
    ("certificates.k8s.io", "certificatesigningrequests"): Printer(
        (
            NAME,
            AGE,
            Column("SignerName", f"{_CSR}:spec.signerName"),
            Column("Requestor", f"{_CSR}:spec.request"),
            Column("RequestedDuration", f"{_CSR}:spec.expirationSeconds"),
            Column("Condition", f"{_CSR}:status.conditions"),
        ),
        _signing_request,
    ),
    ("certificates.k8s.io", "clustertrustbundles"): Printer(
        (NAME, Column("SignerName", "@certificates.k8s.io/v1beta1/ClusterTrustBundle:spec.signerName")), _trust_bundle
    ),
    ("coordination.k8s.io", "leases"): Printer(
        (NAME, Column("Holder", "@coordination.k8s.io/v1/Lease:spec.holderIdentity"), AGE), _lease
    ),
    ("scheduling.k8s.io", "priorityclasses"): Printer(
        (
            NAME,
            Column("Value", f"{_PRIORITY}:value", "integer"),
            Column("Global-Default", f"{_PRIORITY}:globalDefault", "boolean"),
            AGE,
            Column("PreemptionPolicy", f"{_PRIORITY}:preemptionPolicy"),
        ),
        _priority_class,
    ),
    # The server looks the handler's description up among the fields of ObjectMeta, which has none.
    ("node.k8s.io", "runtimeclasses"): Printer((NAME, Column("Handler", ""), AGE), _runtime_class),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): Printer(
        (
            NAME,
            Column("PriorityLevel", f"{_FLOW}/FlowSchema:spec.priorityLevelConfiguration.name"),
            Column("MatchingPrecedence", f"{_FLOW}/FlowSchema:spec.matchingPrecedence"),
            Column("DistinguisherMethod", f"{_FLOW}/FlowSchema:spec.distinguisherMethod"),
            AGE,
            Column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
        ),
        _flow_schema,
    ),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): Printer(
        (
            NAME,
            Column("Type", f"{_LEVEL}.type"),
            Column("NominalConcurrencyShares", f"{_LEVEL}.limited.nominalConcurrencyShares"),
            Column("Queues", f"{_LEVEL}.limited.limitResponse.queuing.queues"),
            Column("HandSize", f"{_LEVEL}.limited.limitResponse.queuing.handSize"),
            Column("QueueLengthLimit", f"{_LEVEL}.limited.limitResponse.queuing.queueLengthLimit"),
            AGE,
        ),
        _priority_level,
    ),
    ("apiregistration.k8s.io", "apiservices"): Printer(
        (
            NAME,
            Column("Service", "The reference to the service that hosts this API endpoint."),
            Column("Available", "Whether this service is available."),
            AGE,
        ),
        _api_service,
    ),
}
