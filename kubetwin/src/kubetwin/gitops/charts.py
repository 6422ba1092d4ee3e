# SPDX-License-Identifier: Apache-2.0
"""Charts of a Helm repository (an ``index.yaml`` over HTTP or in a folder): versions and the unpacked chart.

Facts: argo-cd util/helm/index.go and util/versions (constraints are those of Masterminds/semver; pre-releases only where the
constraint names one), helm pkg/repo/v1/index.go. OCI registries are not there: no registry runs in an embedded cluster.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from kubetwin.gitops.documents import ManifestError, parsed
from kubetwin.gitops.programs import Programs

INDEX_LIMIT = 20 * 1024 * 1024
CHART_LIMIT = 20 * 1024 * 1024
"""Bytes of an archive, and four times as many unpacked."""
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

Version = tuple[int, int, int, tuple[tuple[int, int, str], ...]]


class Charts:
    """The charts that one controller has fetched, in one directory."""

    def __init__(self, directory: Path, programs: Programs) -> None:
        self.directory = directory
        self.programs = programs

    async def resolve(self, url: str, chart: str, constraint: str) -> str:
        """The newest version that the constraint allows.

        Raises:
            ManifestError: the repository can't be reached, or has none.
        """
        entries = await self._entries(url, chart)
        found = newest([str(each.get("version", "")) for each in entries], constraint)
        if found is None:
            raise ManifestError(f"no version of {chart} in {url} is {constraint or 'there'}")
        return found

    async def folder(self, url: str, chart: str, version: str) -> Path:
        """The unpacked chart; it is shared and must not be written to.

        Raises:
            ManifestError: it can't be had, or is no chart.
        """
        name = hashlib.sha256(f"{url}\0{chart}\0{version}".encode()).hexdigest()[:24]
        path = self.directory / name
        if path.is_dir():
            return path
        entry = next((e for e in await self._entries(url, chart) if str(e.get("version")) == version), None)
        if entry is None or not entry.get("urls"):
            raise ManifestError(f"chart {chart} {version} is not in {url}")
        archive = await fetched(urljoin(url.rstrip("/") + "/", str(entry["urls"][0])), CHART_LIMIT)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(_unpack, archive, path)
        return path

    async def _entries(self, url: str, chart: str) -> list[dict[str, Any]]:
        text = await fetched(url.rstrip("/") + "/index.yaml", INDEX_LIMIT)
        document = next(iter(await asyncio.to_thread(parsed, text, "index.yaml")), None) or {}
        return list((document.get("entries") or {}).get(chart) or ())

    def forget(self) -> None:
        """Loses every chart."""
        shutil.rmtree(self.directory, ignore_errors=True)


async def fetched(url: str, limit: int) -> bytes:
    """A document over HTTP, or a local file of a ``file:`` URL.

    Raises:
        ManifestError: it is not there, or larger than ``limit`` bytes.
    """
    import httpx2

    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            path = Path(parts.path)
            if path.stat().st_size > limit:
                raise ManifestError(f"{url} is larger than {limit} bytes")
            return path.read_bytes()
        if parts.scheme not in ("http", "https"):
            raise ManifestError(f"{url}: only http, https and file URLs are fetched in an embedded cluster")
        async with httpx2.AsyncClient(trust_env=False, timeout=30.0) as client, client.stream("GET", url) as response:
            if response.status_code != 200:
                raise ManifestError(f"failed to fetch {url} : {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > limit:
                    raise ManifestError(f"{url} is larger than {limit} bytes")
            return bytes(body)
    except (OSError, httpx2.HTTPError) as error:
        raise ManifestError(f"failed to fetch {url} : {error}") from error


def _unpack(archive: bytes, path: Path) -> None:
    """Regular files only, below the chart's own folder."""
    import io

    with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as made:
        root, size = Path(made) / "chart", 0
        try:
            with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
                for member in tar:
                    name = PurePosixPath(member.name)
                    if not member.isfile() or name.is_absolute() or ".." in name.parts or len(name.parts) < 2:
                        continue
                    size += member.size
                    if size > 4 * CHART_LIMIT:
                        raise ManifestError(f"the chart is larger than {4 * CHART_LIMIT} bytes")
                    target = root.joinpath(*name.parts[1:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = tar.extractfile(member)
                    target.write_bytes(source.read() if source is not None else b"")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ManifestError(f"the archive of the chart can't be read: {error}") from error
        if not (root / "Chart.yaml").is_file():
            raise ManifestError("Chart.yaml file is missing")
        root.rename(path)


# versions


def version(text: str) -> Version | None:
    """A version as something that compares; None when it is none."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    numbers = tuple(int(each or 0) for each in match.groups()[:3])
    pre = match.group(4)
    # A release is newer than each of its pre-releases; numbers sort before words.
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ((2, 0, ""),)
    return numbers[0], numbers[1], numbers[2], parts


def newest(versions: list[str], constraint: str) -> str | None:
    """The newest version that fulfils a constraint; None when there is none."""
    if constraint in versions:
        return constraint
    named = [(found, each) for each in versions if (found := version(each)) is not None and fulfils(each, constraint)]
    return max(named)[1] if named else None


def fulfils(text: str, constraint: str) -> bool:
    """``^1.2``, ``~1.2.3``, ``>=1 <2``, ``1.x``, ``1 - 2``; ``||`` joins alternatives. Empty and ``*`` are any release."""
    found = version(text)
    return found is not None and any(_all(found, part) for part in (constraint or "*").split("||"))


def _all(found: Version, part: str) -> bool:
    span = re.fullmatch(r"\s*(\S+)\s+-\s+(\S+)\s*", part)
    if span:
        part = f">={span.group(1)} <={span.group(2)}"
    pieces = re.findall(r"(>=|<=|!=|=|>|<|\^|~>|~)?\s*([^\s,<>=!^~]+)", part)
    pre = found[3] != ((2, 0, ""),)
    if pre and "-" not in part:
        return False
    return bool(pieces) and all(_one(found, operator, given) for operator, given in pieces)


def _one(found: Version, operator: str, given: str) -> bool:
    digits = re.split(r"[.]", given.lstrip("v").split("-")[0])
    known = [int(d) for d in digits if d.isdigit()]
    exact = len(known) == 3
    low = version(given) if exact else version(".".join(map(str, [*known, 0, 0, 0][:3])))
    if low is None:
        return False
    if not known:
        return given in ("*", "x", "X") and operator in ("", "=", ">=", "<=", "^", "~", "~>")
    place = len(known) - 1
    if operator == "^":
        place = next((i for i, n in enumerate(known) if n), len(known) - 1)
    elif operator in ("~", "~>"):
        place = min(1, len(known) - 1)
    after = _bumped(known, place)
    match operator:
        case "^" | "~" | "~>":
            return low <= found and found[:3] < after
        case ">=":
            return found >= low
        case ">":
            return found > low if exact else found[:3] >= _bumped(known, len(known) - 1)
        case "<":
            return found < low
        case "<=":
            return found <= low if exact else found[:3] < _bumped(known, len(known) - 1)
        case "!=":
            return found != low if exact else not _one(found, "=", given)
    return found == low if exact else low <= found and found[:3] < after


def _bumped(known: list[int], place: int) -> tuple[int, int, int]:
    numbers = [*known, 0, 0][:3]
    numbers[place] += 1
    numbers[place + 1 :] = [0] * (2 - place)
    return numbers[0], numbers[1], numbers[2]
