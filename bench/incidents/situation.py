# SPDX-License-Identifier: Apache-2.0
"""A situation as data: what was healthy, what was changed and by whom, and what is right to say and to do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from kubetwin.client import Obj

if TYPE_CHECKING:
    from bench.incidents.steps import Step

Outcome = Literal["recovered", "approval", "refused", "nothing"]
"""``recovered``: all is back and ready; ``approval``: so once named risks were approved, and nothing was written before;
``refused``: nothing is written, and the cause is named; ``nothing``: no change is blamed, and nothing is written."""

HANDS = ("kubectl-edit", "kubectl-patch", "kubectl-set", "kubectl-replace", "kubectl-client-side-apply")
HELM = "helm"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right.

    ``names``: for each cause the words that one problem, likely or certain, must hold in its target, cause, suspect,
    actor and fields; ``a|b`` is one of them, ``word*`` a beginning. ``innocent``: words that no such problem may hold
    in its cause or suspect. ``guilty``: what may be blamed although no change has to be. ``broken``: False where
    nothing may be found at all. ``told``: words that must stand anywhere in the diagnosis.
    """

    names: tuple[tuple[str, ...], ...] = ()
    outcomes: tuple[Outcome, ...] = ("recovered",)
    approve: tuple[str, ...] = ()
    innocent: tuple[str, ...] = ()
    guilty: tuple[str, ...] = ()
    broken: bool = True
    told: tuple[str, ...] = ()


@dataclass(slots=True)
class Situation:
    """One that can be played. ``others`` are further releases: name → objects; ``rest``: what need not come back."""

    kind: str
    area: str
    number: int
    seed: str
    objects: list[Obj]
    expected: Expected
    faults: list[Step] = field(default_factory=list)
    release: str = ""
    others: dict[str, list[Obj]] = field(default_factory=dict)
    early: list[Step] = field(default_factory=list)
    """What is so before anything is deployed."""
    before: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    told: str = ""
    wait: float = 12.0
    snapshot: bool = True
    rest: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    """Workloads that need not get ready by the way back: what else they lack is not Backout's to give."""
    partly: bool = False
    """Something else stays broken, so that a run may end without "recovered" although it brought all back."""

    @property
    def name(self) -> str:
        """As it is chosen and listed."""
        return f"{self.kind}-{self.number}"

    def seconds(self) -> float:
        """How long it waits at least."""
        return self.wait + sum(getattr(step, "seconds", 2.0) for step in (*self.before, *self.faults, *self.after))


class Draw(random.Random):
    """The choices of one situation; the same seed draws the same."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.text = seed
        self._names = self.sample(NAMES, len(NAMES))

    def name(self) -> str:
        """A name for a program, each once."""
        return self._names.pop()

    def image(self, called: str) -> str:
        """An image of it that works."""
        registry = self.choice(("registry.local", "registry.example.com/shop", "registry.example.com:5000/team-a"))
        return f"{registry}/{called}:{self.randint(1, 4)}.{self.randint(0, 30)}.{self.randint(0, 9)}"

    def hand(self) -> str:
        """A person at a command line."""
        return self.choice(HANDS)


NAMES = (
    *("account-api", "adservice", "alerts", "audit-log", "auth", "backoffice", "billing", "cart", "catalog", "chat"),
    *("checkout", "coupons", "crm-sync", "currency", "delivery", "directory", "docs-search", "email", "event-bus"),
    *(
        "exporter",
        "feed",
        "fraud-check",
        "frontend",
        "gateway",
        "geo",
        "grading",
        "hotel-rates",
        "imageproxy",
        "indexer",
    ),
    *("inventory", "invoices", "keyserver", "ledger-api", "loyalty", "mailer", "matching", "media-store", "metering"),
    *("notifier", "orders", "packing", "payments", "photos", "pricing", "profiles", "quotes", "ratings", "recommender"),
    *("reports", "reservations", "reviews", "routing", "scheduler-ui", "search", "sessions", "shipping", "signup"),
    *("stock", "storefront", "subscriptions", "tax", "telemetry-in", "tickets", "tracker", "translations", "uploads"),
    *("users", "vault-sync", "videos", "wallet", "warehouse", "webhooks", "wishlist", "workflows"),
)

Maker = Callable[[Draw], Situation]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of situation, and how many of it are played."""

    name: str
    area: str
    times: int
    make: Callable[[Draw, int], Situation]


KINDS: dict[str, Kind] = {}


def kind(area: str, times: int = 3) -> Callable[[Callable[[Draw, int], Situation]], Callable[[Draw, int], Situation]]:
    """Registers a maker under its name; it is given its draws and the number of the situation."""

    def register(make: Callable[[Draw, int], Situation]) -> Callable[[Draw, int], Situation]:
        name = make.__name__.replace("_", "-")
        assert name not in KINDS, name
        KINDS[name] = Kind(name, area, times, make)
        return make

    return register


def situations(seed: int) -> list[Situation]:
    """All of them; the number of each is part of its seed, so that one can be played alone."""
    import bench.incidents.kinds  # noqa: F401

    found = []
    for each in KINDS.values():
        for number in range(each.times):
            text = f"{seed}/{each.name}/{number}"
            made = each.make(Draw(text), number)
            made.kind, made.area, made.number, made.seed = each.name, each.area, number, text
            found.append(made)
    return found
