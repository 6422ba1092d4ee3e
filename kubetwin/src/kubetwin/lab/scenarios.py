# SPDX-License-Identifier: Apache-2.0
"""The scenarios by id: what is broken, how, and what a good answer to it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kubetwin.lab import config_scenarios, helm_scenarios, network_scenarios, operator_scenarios, workload_scenarios
from kubetwin.lab.builder import Lab

Action = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One rehearsal.

    ``find``: the symptom codes of which `diagnose` must name at least one for each target. ``targets``: what must be
    gone back on. ``revision``: the number that must be chosen, where it is fixed. ``holds``: raises when something that
    had to be kept was lost. ``approve``: the way back needs an explicit yes beyond the ordinary one. ``chart``, ``release``:
    what the stack is.
    """

    id: str
    title: str
    prepare: Action
    break_it: Action
    find: frozenset[str]
    targets: tuple[str, ...] = ("helm/thanos",)
    revision: int | None = 2
    holds: Action | None = None
    approve: tuple[str, ...] = field(default=())
    chart: str = "thanos-mini"
    release: str = "thanos"


def _all() -> tuple[Scenario, ...]:
    h, w, c, n, o = helm_scenarios, workload_scenarios, config_scenarios, network_scenarios, operator_scenarios
    crash, pull = frozenset({"CrashLoopBackOff"}), frozenset({"ImagePullBackOff"})
    return (
        Scenario("A1", "An upgrade to an image that crash-loops (Deployment)", h.two_good, h.crash_deployment, crash),
        Scenario(
            "A2",
            "An upgrade to an image that crash-loops (OrderedReady StatefulSet): a plain rollback hangs",
            h.two_good,
            h.crash_statefulset,
            crash,
        ),
        Scenario("A3", "An image tag that does not exist", h.two_good, h.unpullable, pull),
        Scenario(
            "A4",
            "helm killed during an upgrade, then during a rollback",
            h.two_good,
            h.killed_helm,
            frozenset({"ReleasePending"}),
        ),
        Scenario(
            "A5", "Three bad upgrades in a row, one of them superseded", h.three_good, h.three_bad, crash, revision=3
        ),
        Scenario("A6", "The good revision was pruned from the history", h.two_good_kept, h.crash_and_prune, crash),
        Scenario(
            "A7",
            "kubectl set image on a Deployment, a StatefulSet and a DaemonSet that nobody manages",
            w.unmanaged,
            w.set_bad_images,
            crash,
            w.TARGETS,
            None,
            w.edits_kept,
        ),
        Scenario("A8", "A readiness probe that never passes", h.two_good, h.never_ready, frozenset({"NotReady"})),
        Scenario(
            "A9",
            "A paused Deployment, a DaemonSet with OnDelete, a leftover partition",
            w.unmanaged,
            w.break_held_back,
            frozenset({"CrashLoopBackOff", "PausedChange"}),
            w.TARGETS,
            None,
        ),
        Scenario(
            "A10",
            "kubectl patch of an operator's custom resource that no release has",
            o.without_release,
            o.edit_custom,
            crash,
            (f"prometheus.monitoring.coreos.com/{o.OWN}",),
            None,
            o.own_ready,
            chart="kps-mini",
            release="kps",
        ),
        Scenario(
            "A11",
            "A key that is not in its Secret: CreateContainerConfigError",
            h.two_good,
            h.missing_key,
            frozenset({"CreateContainerConfigError"}),
        ),
        Scenario(
            "A12",
            "An upgrade whose rollback needs an immutable field",
            h.two_good,
            h.immutable,
            crash,
            approve=("recreate",),
        ),
        Scenario(
            "A13",
            "A bad field in a release's custom resource, from which its operator makes the pods",
            o.two_charts,
            o.bad_field,
            crash,
            ("helm/kps",),
            2,
            o.children_ready,
            chart="kps-mini",
            release="kps",
        ),
        Scenario(
            "B1",
            "kubectl edit of the hashring: an endpoint that does not exist, then JSON that is cut off",
            c.prepare_hashring,
            c.edit_hashring,
            frozenset({"ConfigReloadFailed", "ForwardRequestFailures"}),
            ("configmap/thanos-receive-hashring",),
            None,
            c.hashring_back,
        ),
        Scenario(
            "B2",
            "Wrong credentials in the Secret of the object storage",
            c.prepare_objstore,
            c.wrong_credentials,
            frozenset({"ObjectStorageErrors"}),
            ("secret/thanos-objstore",),
            None,
            c.objstore_back,
        ),
        Scenario(
            "B6",
            "A ConfigMap deleted, an immutable one replaced",
            c.prepare_deletion,
            c.delete_and_replace,
            frozenset({"MissingReference", "CrashLoopBackOff"}),
            ("configmap/thanos-receive-hashring", "configmap/thanos-query-stores"),
            None,
            c.configmaps_back,
            ("recreate",),
        ),
        Scenario(
            "B7",
            "Keys added to a ConfigMap, one of them broken",
            c.prepare_rules,
            c.add_rules,
            frozenset({"ConfigReloadFailed"}),
            ("configmap/thanos-prometheus-rules",),
            None,
            c.rules_back,
        ),
        Scenario(
            "E2",
            "The selector and type of a Service, and the port of another",
            n.prepare_services,
            n.edit_services,
            frozenset({"NoEndpoints", "ConnectionRefused"}),
            ("service/thanos-receive-lb", "service/thanos-query"),
            None,
            n.services_back,
        ),
        Scenario(
            "E3",
            "An Ingress to a wrong backend, and its certificate gone",
            n.prepare_ingress,
            n.edit_ingress,
            frozenset({"HTTPStatus", "MissingReference"}),
            ("ingress/thanos-grafana", f"secret/{n.TLS_SECRET}"),
            None,
            n.ingress_back,
        ),
    )


SCENARIOS: dict[str, Scenario] = {scenario.id: scenario for scenario in _all()}
