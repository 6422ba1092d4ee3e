# SPDX-License-Identifier: Apache-2.0
"""Tables of what governs the cluster: access rights, admission, certificates, leases, priorities, API services."""

from __future__ import annotations

from collections.abc import Callable

from kubetwin.apiserver.tables.columns import AGE, NAME, Cell, Printer, column, count, field, items, part, printer
from kubetwin.apiserver.tables.text import Obj, human_duration, selector_text

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"

_conditions = items("status.conditions")
_spec = part("spec")


def _subjects(kind: str) -> Callable[[Obj], Cell]:
    def name(subject: Obj) -> str:
        owned = kind == "ServiceAccount"
        return f"{subject.get('namespace', '')}/{subject['name']}" if owned else str(subject["name"])

    return lambda obj: ", ".join(name(s) for s in obj.get("subjects") or () if s.get("kind") == kind)


def _binding(kind: str) -> Printer:
    called = kind[0].lower() + kind[1:]
    return printer(
        f"{_RBAC}/v1/{kind}",
        NAME,
        column("Role", "@roleRef", lambda obj: f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"),
        AGE,
        *(
            column(f"{subject}s", f"{subject}s in the {called}", _subjects(subject), wide=True)
            for subject in ("User", "Group", "ServiceAccount")
        ),
    )


def _webhooks(kind: str) -> Printer:
    doc = "Webhooks indicates the number of webhooks registered in this configuration"
    return printer(f"{_ADMISSION}/v1/{kind}", NAME, count("Webhooks", "webhooks", doc, "integer"), AGE)


def _param_kind(obj: Obj) -> str:
    kind = (_spec(obj) or {}).get("paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


def _policy(kind: str, rules: str, doc: str) -> Printer:
    about = "ParamKind specifies the kind of resources used to parameterize this policy"
    return printer(
        f"{_ADMISSION}/v1/{kind}",
        NAME,
        count(rules.capitalize(), f"spec.{rules}", f"{doc} rules defined in this configuration", "integer"),
        column("ParamKind", about, _param_kind),
        AGE,
    )


def _param_ref(obj: Obj) -> str:
    reference = (_spec(obj) or {}).get("paramRef")
    if reference and reference.get("name"):
        return f"{reference.get('namespace') or '*'}/{reference['name']}"
    if reference and reference.get("selector") is not None:
        return selector_text(reference["selector"])
    return "<unset>"


def _policy_binding(kind: str) -> Printer:
    named = "PolicyName indicates the policy definition which the policy binding binded to"
    param = "ParamRef indicates the param resource which sets the configuration param"
    return printer(
        f"{_ADMISSION}/v1/{kind}",
        NAME,
        field("PolicyName", "spec.policyName", doc=named),
        column("ParamRef", param, _param_ref),
        AGE,
    )


def _request_state(obj: Obj) -> str:
    kinds = {condition.get("type") for condition in _conditions(obj)}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    state += ",Failed" if "Failed" in kinds else ""
    return state + (",Issued" if (obj.get("status") or {}).get("certificate") else "")


def _requested_duration(obj: Obj) -> str:
    seconds = (_spec(obj) or {}).get("expirationSeconds")
    return "<none>" if seconds is None else human_duration(seconds)


def _dangling(obj: Obj) -> str:
    return next((c.get("status", "") for c in _conditions(obj) if c.get("type") == "Dangling"), "?")


def _number_in(outer: str, name: str) -> Callable[[Obj], Cell]:
    """A number that is 0 when unset, in a part that may be missing as a whole."""
    find = part(outer)
    return lambda obj: "<none>" if (found := find(obj)) is None else found.get(name, 0)


def _service(obj: Obj) -> str:
    service = (_spec(obj) or {}).get("service")
    return f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"


def _available(obj: Obj) -> str:
    for condition in _conditions(obj):
        if condition.get("type") == "Available":
            state, reason = str(condition.get("status", "")), condition.get("reason")
            return f"{state} ({reason})" if state != "True" and reason else state
    return "Unknown"


_LIMITED = "spec.limited"
_QUEUING = f"{_LIMITED}.limitResponse.queuing"

PRINTERS: dict[tuple[str, str], Printer] = {
    (_RBAC, "rolebindings"): _binding("RoleBinding"),
    (_RBAC, "clusterrolebindings"): _binding("ClusterRoleBinding"),
    (_ADMISSION, "mutatingwebhookconfigurations"): _webhooks("MutatingWebhookConfiguration"),
    (_ADMISSION, "validatingwebhookconfigurations"): _webhooks("ValidatingWebhookConfiguration"),
    (_ADMISSION, "validatingadmissionpolicies"): _policy(
        "ValidatingAdmissionPolicy", "validations", "Validations indicates the number of validation"
    ),
    (_ADMISSION, "mutatingadmissionpolicies"): _policy(
        "MutatingAdmissionPolicy", "mutations", "Mutation indicates the number of mutations"
    ),
    (_ADMISSION, "validatingadmissionpolicybindings"): _policy_binding("ValidatingAdmissionPolicyBinding"),
    (_ADMISSION, "mutatingadmissionpolicybindings"): _policy_binding("MutatingAdmissionPolicyBinding"),
    ("certificates.k8s.io", "certificatesigningrequests"): printer(
        "certificates.k8s.io/v1/CertificateSigningRequest",
        NAME,
        AGE,
        field("SignerName", "spec.signerName", empty="<none>"),
        field("Requestor", "spec.username", doc="@spec.request"),
        column("RequestedDuration", "@spec.expirationSeconds", _requested_duration),
        column("Condition", "@status.conditions", _request_state),
    ),
    ("certificates.k8s.io", "clustertrustbundles"): printer(
        "certificates.k8s.io/v1beta1/ClusterTrustBundle", NAME, field("SignerName", "spec.signerName", empty="<none>")
    ),
    ("coordination.k8s.io", "leases"): printer(
        "coordination.k8s.io/v1/Lease", NAME, field("Holder", "spec.holderIdentity"), AGE
    ),
    ("scheduling.k8s.io", "priorityclasses"): printer(
        "scheduling.k8s.io/v1/PriorityClass",
        NAME,
        field("Value", "value", 0, "integer"),
        field("Global-Default", "globalDefault", False, "boolean"),
        AGE,
        field("PreemptionPolicy", "preemptionPolicy"),
    ),
    # The server looks the handler's description up among the fields of ObjectMeta, which has none.
    ("node.k8s.io", "runtimeclasses"): printer(
        "node.k8s.io/v1/RuntimeClass", NAME, field("Handler", "handler", doc=""), AGE
    ),
    (_FLOW, "flowschemas"): printer(
        f"{_FLOW}/v1/FlowSchema",
        NAME,
        field("PriorityLevel", "spec.priorityLevelConfiguration.name"),
        field("MatchingPrecedence", "spec.matchingPrecedence", 0),
        field("DistinguisherMethod", "spec.distinguisherMethod.type", "<none>", doc="@spec.distinguisherMethod"),
        AGE,
        column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration", _dangling),
    ),
    (_FLOW, "prioritylevelconfigurations"): printer(
        f"{_FLOW}/v1/PriorityLevelConfiguration",
        NAME,
        field("Type", "spec.type"),
        *(
            column(name[0].upper() + name[1:], f"@{outer}.{name}", _number_in(outer, name))
            for outer, name in (
                (_LIMITED, "nominalConcurrencyShares"),
                (_QUEUING, "queues"),
                (_QUEUING, "handSize"),
                (_QUEUING, "queueLengthLimit"),
            )
        ),
        AGE,
    ),
    ("apiregistration.k8s.io", "apiservices"): printer(
        "apiregistration.k8s.io/v1/APIService",
        NAME,
        column("Service", "The reference to the service that hosts this API endpoint.", _service),
        column("Available", "Whether this service is available.", _available),
        AGE,
    ),
}
