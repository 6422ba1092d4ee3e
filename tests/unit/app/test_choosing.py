# SPDX-License-Identifier: Apache-2.0
"""Which clusters are meant by names, labels, stacks, and all."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.app.choosing import chosen_clusters
from backout.errors import BackoutError, ConfigError, NotFoundError, UsageError
from backout.model.settings import ClusterSettings, Settings, StackSettings

SETTINGS = Settings(
    clusters={
        "c1": ClusterSettings(labels={"role": "central"}),
        "e1": ClusterSettings(labels={"role": "edge"}),
        "e2": ClusterSettings(labels={"role": "edge"}),
    },
    stacks={"shop": StackSettings("shop", clusters=("c1", "e2")), "everywhere": StackSettings("log")},
)
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: k1, context: {cluster: k, user: u}}, {name: k2, context: {cluster: k, user: u}}]
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return str(path)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, ()),
        ({"names": ("e1",)}, ("e1",)),
        ({"names": ("k1", "e1", "k1")}, ("k1", "e1")),
        ({"names": ("all",)}, ("c1", "e1", "e2")),
        ({"selector": "role=edge"}, ("e1", "e2")),
        ({"stack": "shop"}, ("c1", "e2")),
        ({"stack": "shop", "names": ("e2",)}, ("e2",)),
        ({"stack": "shop", "names": ("all",)}, ("c1", "e2")),
        ({"stack": "shop", "selector": "role=edge"}, ("e2",)),
        ({"stack": "everywhere"}, ("c1", "e1", "e2")),
    ],
)
def test_who_is_meant(kubeconfig: str, said: dict[str, object], found: tuple[str, ...]) -> None:
    values = {"names": (), **said}
    assert chosen_clusters(SETTINGS, kubeconfig=kubeconfig, **values) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        ({"selector": "role=west"}, UsageError, 2),
        ({"selector": "role=>"}, UsageError, 2),
        ({"selector": "role=edge", "names": ("e1",)}, UsageError, 2),
        ({"stack": "nope"}, ConfigError, 3),
        ({"stack": "shop", "names": ("e1",)}, UsageError, 2),
        ({"stack": "shop", "selector": "role=west"}, UsageError, 2),
    ],
)
def test_what_nobody_knows(kubeconfig: str, said: dict[str, object], kind: type[BackoutError], code: int) -> None:
    with pytest.raises(kind) as caught:
        chosen_clusters(SETTINGS, kubeconfig=kubeconfig, **{"names": (), **said})  # type: ignore[arg-type]
    assert caught.value.exit_code == code


def test_without_a_configuration_all_are_the_contexts_of_the_kubeconfig(kubeconfig: str) -> None:
    assert chosen_clusters(Settings(), ("all",), kubeconfig=kubeconfig) == ("k1", "k2")


def test_an_empty_fleet_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("apiVersion: v1\nkind: Config\n")
    with pytest.raises(NotFoundError) as caught:
        chosen_clusters(Settings(), ("all",), kubeconfig=str(empty))
    assert caught.value.exit_code == 4
    with pytest.raises(NotFoundError):
        chosen_clusters(Settings(stacks={"s": StackSettings("s")}), (), stack="s", kubeconfig=str(empty))
