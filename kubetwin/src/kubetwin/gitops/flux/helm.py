# SPDX-License-Identifier: Apache-2.0
"""Calls the real helm for a HelmRelease: install, upgrade, rollback, uninstall. Helm 3 and 4."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kubetwin.client import Obj
from kubetwin.gitops.flux import labels
from kubetwin.gitops.programs import ProgramFailed, Programs, run
from kubetwin.gitops.render import helm_environment

_PLUGIN = """apiVersion: v1
name: flux-labels
type: postrenderer/v1
version: 0.1.0
runtime: subprocess
runtimeConfig:
  platformCommand:
    - command: ${HELM_PLUGIN_DIR}/run
"""


class Helm:
    """``kubeconfig`` gives the text of a kubeconfig for the cluster; it is kept in a file of its own while helm runs."""

    def __init__(self, directory: Path, programs: Programs, kubeconfig: Callable[[], str]) -> None:
        self._directory = directory
        self._programs = programs
        self._kubeconfig = kubeconfig
        self._major = 0
        self._preparing = asyncio.Lock()

    async def install(
        self, release: str, namespace: str, chart: Path, values: Obj, marks: tuple[str, str], options: Obj
    ) -> None:
        """Raises ProgramFailed with helm's own words."""
        await self._deploy("install", release, namespace, chart, values, marks, options)

    async def upgrade(
        self, release: str, namespace: str, chart: Path, values: Obj, marks: tuple[str, str], options: Obj
    ) -> None:
        """Raises ProgramFailed with helm's own words."""
        await self._deploy("upgrade", release, namespace, chart, values, marks, options)

    async def _deploy(
        self, verb: str, release: str, namespace: str, chart: Path, values: Obj, marks: tuple[str, str], options: Obj
    ) -> None:
        await self._prepared()
        renderer = "flux-labels" if self._major >= 4 else str(self._directory / "plugins" / "flux-labels" / "run")
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="values-") as made:
            file = Path(made) / "values.json"
            file.touch(mode=0o600)
            file.write_text(json.dumps(values), encoding="utf-8")
            argv = [verb, release, str(chart), "--values", str(file), "--post-renderer", renderer]
            for mark in marks:
                argv += ["--post-renderer-args", mark]
            if verb == "upgrade":
                argv += ["--history-max", str(options.get("maxHistory", 5)), "--reset-values"]
                argv += ["--cleanup-on-fail"] if options.get("cleanupOnFail") else []
                if self._major >= 4:
                    argv += ["--force-conflicts"]
            if verb == "install" and options.get("createNamespace"):
                argv.append("--create-namespace")
            await self._run(argv, namespace, options)

    async def rollback(self, release: str, namespace: str, version: int, options: Obj) -> None:
        """Raises ProgramFailed."""
        await self._prepared()
        argv = ["rollback", release, str(version), "--history-max", str(options.get("maxHistory", 5))]
        await self._run([*argv, *(["--force-conflicts"] if self._major >= 4 else [])], namespace, options)

    async def uninstall(self, release: str, namespace: str, options: Obj) -> None:
        """Raises ProgramFailed."""
        await self._prepared()
        keep = ["--keep-history"] if options.get("keepHistory") else []
        await self._run(["uninstall", release, *keep], namespace, {**options, "disableWait": True})

    async def _run(self, argv: list[str], namespace: str, options: Obj) -> None:
        seconds = float(options.get("seconds") or 300.0)
        extra = ["--namespace", namespace, "--timeout", f"{seconds:g}s"]
        if not options.get("disableWait"):
            extra += ["--wait"] + ([] if options.get("disableWaitForJobs") else ["--wait-for-jobs"])
        if options.get("disableHooks"):
            extra.append("--no-hooks")
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="access-") as made:
            config = Path(made) / "kubeconfig"
            config.touch(mode=0o600)
            config.write_text(self._kubeconfig(), encoding="utf-8")
            env = helm_environment(self._directory) | {"KUBECONFIG": str(config), "HELM_DRIVER": "secret"}
            await run([self._programs.helm, *argv, *extra], env=env, timeout=seconds + 60.0)

    async def _prepared(self) -> None:
        """The post-renderer as a plugin, and which helm it is."""
        async with self._preparing:
            if self._major:
                return
            folder = self._directory / "plugins" / "flux-labels"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / "plugin.yaml").write_text(_PLUGIN)
            script = folder / "run"
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{labels.__file__}" "$@"\n')
            script.chmod(0o700)
            said = await run(
                [self._programs.helm, "version", "--template", "{{.Version}}"], env=helm_environment(self._directory)
            )
            major = said.decode().strip().lstrip("v").partition(".")[0]
            if not major.isdigit():
                raise ProgramFailed(self._programs.helm, f"{said.decode()[:100]!r} is no version of helm")
            self._major = int(major)
