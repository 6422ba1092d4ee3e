# SPDX-License-Identifier: Apache-2.0
"""Commands that are printed carry the cluster, the namespace and the files that were given."""

from __future__ import annotations

import pytest

from backout.cli.options import GlobalOptions
from backout.cli.pasting import pasteable
from backout.cli.render.screen import Screen

HERE = {"namespace": "shop", "contexts": ("east",)}


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        (
            "Choose another: `backout history helm/web`.",
            HERE,
            "Choose another: `backout history --context east -n shop helm/web`.",
        ),
        ("`backout history helm/web` says", {"namespace": "shop"}, "`backout history -n shop helm/web` says"),
        ("Next: backout snapshot list", HERE, "Next: backout snapshot list --context east -n shop"),
        (
            "backout plan helm/web -n other --out FILE.",
            {"namespace": "shop"},
            "backout plan helm/web -n other --out FILE.",
        ),
        ("backout status -A", {"namespace": "shop"}, "backout status -A"),
        ("backout status --cluster west", {"contexts": ("east",)}, "backout status --cluster west"),
        (
            "`backout history a` or `backout plan b`",
            {"namespace": "n"},
            "`backout history -n n a` or `backout plan -n n b`",
        ),
        # Which of several clusters is meant is not guessed.
        ("backout diagnose", {"contexts": ("east", "west")}, "backout diagnose"),
        # Runs know where they worked; the files are ours.
        ("backout undo 2026", {**HERE, "kubeconfig": "/my kube"}, "backout undo --kubeconfig '/my kube' 2026"),
        ("backout report 2026", {"config": "b.yaml"}, "backout report --config b.yaml 2026"),
        ("backout twin up", {**HERE, "kubeconfig": "k"}, "backout twin up"),
        ("backout doctor --install", {"kubeconfig": "k"}, "backout doctor --kubeconfig k --install"),
        ("Backout is no command here", HERE, "Backout is no command here"),
        ("`backout history helm/web`", {}, "`backout history helm/web`"),
        ("`backout history helm/web`", {"all_namespaces": True}, "`backout history helm/web`"),
    ],
)
def test_a_command_means_what_was_meant(text: str, given: dict[str, object], said: str) -> None:
    options = GlobalOptions(**given)  # type: ignore[arg-type]
    assert pasteable(text, options) == said
    assert pasteable(said, options) == said, "once is enough"


def test_of_several_clusters_a_command_names_its_own() -> None:
    several = GlobalOptions(contexts=("east", "west"))
    assert pasteable("backout run helm/web", several, "west") == "backout run --context west helm/web"
    # Nobody named a cluster: the current context is meant, and stays so.
    assert pasteable("backout run helm/web", GlobalOptions(), "west") == "backout run helm/web"


def test_whatever_is_said_can_be_pasted() -> None:
    screen = Screen("en", options=GlobalOptions(namespace="shop"))
    hint = screen.say("Choose another: `backout history {target}`.", target="helm/web")
    assert hint == "Choose another: `backout history -n shop helm/web`."
    assert screen.say("Next: {text}", text=hint) == f"Next: {hint}"
