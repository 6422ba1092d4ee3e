# SPDX-License-Identifier: Apache-2.0
"""The process of embedded clusters with GitOps controllers: started, found, reached, and gone without a trace."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest
from gitops_twin import needs_git, programs

from kubetwin import process
from kubetwin.errors import TwinError

pytestmark = needs_git


def test_argocd_of_a_process_is_reached_by_url_and_token_and_goes_with_it(tmp_path: Path) -> None:
    tools = {"git": programs().git, "helm": programs().helm, "kubectl": programs().kubectl}
    where = tmp_path / "twin"
    twin = process.up(where, ("one",), gitops=("argocd", "flux"), programs=tools)
    try:
        assert process.get(where).argocd == twin.argocd and list(twin.argocd) == ["one"]
        token = twin.argocd_token("one")
        assert token.stat().st_mode & 0o077 == 0
        headers = {"Authorization": f"Bearer {token.read_text()}"}
        request = urllib.request.Request(f"{twin.argocd['one']}/api/v1/session/userinfo", headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            assert json.load(answer)["username"] == "admin"
        assert os.access(where / "one.gitops" / "flux" / "helm", os.R_OK)
    finally:
        process.down(where)
    assert not where.exists()


def test_a_tool_that_is_not_there_is_said_by_the_process(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="fleet"):
        process.up(tmp_path / "twin", ("one",), gitops=("fleet",))
