# SPDX-License-Identifier: Apache-2.0
"""Manifests of a source: plain directories, kustomize through the real kubectl, charts through the real helm.

Facts: argo-cd util/app/discovery/discovery.go (which tool), reposerver/repository/repository.go (``findManifests``: files, include,
exclude; ``helmTemplate``: value files, then values, then parameters), util/kustomize/kustomize.go. Jsonnet and config management
plugins are not there: a source that asks for them is an error.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from kubetwin.client import Obj
from kubetwin.gitops.documents import FILE_LIMIT, ManifestError, objects, parsed
from kubetwin.gitops.programs import ProgramFailed, Programs, environment, run

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MANIFESTS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is rendered, and for whom. ``others``: the trees of sources that value files may name as ``$REF/…``."""

    tree: Path
    source: Mapping[str, Any]
    release: str = ""
    namespace: str = ""
    kube_version: str = "1.36.2"
    others: Mapping[str, Path] = field(default_factory=dict)


def kind_of(wanted: Wanted) -> str:
    """``Helm``, ``Kustomize`` or ``Directory``.

    Raises:
        ManifestError: the path is not there, leads out of the tree, or the source wants what is not there.
    """
    source = wanted.source
    explicit = [name for name in ("helm", "kustomize", "directory", "plugin") if source.get(name)]
    if len(explicit) > 1:
        raise ManifestError(f"multiple application sources defined: {','.join(explicit)}")
    if "plugin" in explicit or (source.get("directory") or {}).get("jsonnet"):
        raise ManifestError("config management plugins and jsonnet are not there in an embedded cluster")
    if explicit:
        return {"helm": "Helm", "kustomize": "Kustomize", "directory": "Directory"}[explicit[0]]
    folder = inside(wanted.tree, str(source.get("path") or "."))
    if (folder / "Chart.yaml").is_file():
        return "Helm"
    return "Kustomize" if any((folder / name).is_file() for name in KUSTOMIZATIONS) else "Directory"


def inside(tree: Path, path: str) -> Path:
    """A path below the tree.

    Raises:
        ManifestError: it is absolute, leads out of it, or is not there.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ManifestError(f"{path}: app path is absolute or leads out of the repository")
    found = tree / pure
    if not found.exists():
        raise ManifestError(f"{path}: app path does not exist")
    return found


async def render(programs: Programs, wanted: Wanted) -> list[Obj]:
    """The objects, in the order of the files or of the tool.

    Raises:
        ManifestError: there is nothing to render, or the tool says that it is wrong.
    """
    kind = kind_of(wanted)
    folder = inside(wanted.tree, str(wanted.source.get("path") or "."))
    if kind == "Directory":
        return await asyncio.to_thread(_directory, folder, wanted.source.get("directory") or {})
    with tempfile.TemporaryDirectory(prefix="render-") as home:
        try:
            if kind == "Helm":
                said = await _helm(programs, wanted, folder, Path(home))
            else:
                said = await _kustomize(programs, wanted, folder, Path(home))
        except ProgramFailed as error:
            raise ManifestError(f"`{error.program}` failed: {error}") from error
    name = str(wanted.source.get("path") or wanted.source.get("chart") or ".")
    return objects(await asyncio.to_thread(parsed, said, name), name)


# plain directories


def _directory(folder: Path, options: Mapping[str, Any]) -> list[Obj]:
    found: list[Obj] = []
    size = 0
    for path in _files(folder, bool(options.get("recurse"))):
        name = path.relative_to(folder).as_posix()
        if not _taken(name, str(options.get("include") or ""), str(options.get("exclude") or "")):
            continue
        size += path.stat().st_size
        if size > FILE_LIMIT:
            raise ManifestError(f"the manifests are larger than {FILE_LIMIT} bytes together")
        found += objects(parsed(path.read_bytes(), name), name)
    return found


def _files(folder: Path, recurse: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name == ".git":
            continue
        if path.is_dir() and recurse:
            yield from _files(path, recurse)
        elif path.is_file() and path.suffix in _MANIFESTS:
            yield path


def _taken(name: str, include: str, exclude: str) -> bool:
    if exclude and any(fnmatch.fnmatchcase(name, each) for each in _alternatives(exclude)):
        return False
    return not include or any(fnmatch.fnmatchcase(name, each) for each in _alternatives(include))


def _alternatives(pattern: str) -> list[str]:
    """``{a,b}`` as patterns of their own; nested braces are not there."""
    before, brace, rest = pattern.partition("{")
    inner, closing, after = rest.partition("}")
    if not brace or not closing:
        return [pattern]
    return [each for part in inner.split(",") for each in _alternatives(before + part + after)]


# kustomize


async def _kustomize(programs: Programs, wanted: Wanted, folder: Path, home: Path) -> bytes:
    options = wanted.source.get("kustomize") or {}
    if any(options.values()):
        # The options are written into a copy: bases beside the folder are read, so the whole tree is copied.
        copy = home / "tree"
        await asyncio.to_thread(shutil.copytree, wanted.tree, copy, symlinks=True)
        folder = copy / folder.relative_to(wanted.tree)
        _edit(folder, options)
    argv = [programs.kubectl, "kustomize", str(folder)]
    return await run(argv, env=environment(home), cwd=home)


def _edit(folder: Path, options: Mapping[str, Any]) -> None:
    """What `kustomize edit set …` writes for the options of an application."""
    path = next((folder / name for name in KUSTOMIZATIONS if (folder / name).is_file()), None)
    if path is None:
        # As Flux does for a folder of plain manifests (fluxcd/pkg kustomize/kustomize_generator.go).
        names = [each.relative_to(folder).as_posix() for each in _files(folder, True)]
        path = folder / KUSTOMIZATIONS[0]
        document: dict[str, Any] = {"resources": names}
    else:
        read = parsed(path.read_bytes(), path.name)
        document = read[0] if read else {}
    for key in ("namePrefix", "nameSuffix", "namespace"):
        if options.get(key):
            document[key] = options[key]
    for key in ("commonLabels", "commonAnnotations"):
        if options.get(key):
            document[key] = {**(document.get(key) or {}), **options[key]}
    for key in ("patches", "components"):
        if options.get(key):
            document[key] = [*(document.get(key) or ()), *options[key]]
    if options.get("replicas"):
        document["replicas"] = [{"name": each["name"], "count": int(each["count"])} for each in options["replicas"]]
    if options.get("images"):
        images = {each["name"]: each for each in document.get("images") or ()}
        for text in options["images"]:
            image = _image(str(text))
            images[image["name"]] = image
        document["images"] = list(images.values())
    path.write_text(yaml.safe_dump(document), encoding="utf-8")


def _image(text: str) -> dict[str, str]:
    """``name=other:tag``, ``name:tag`` or ``name@digest`` as kustomization files have it."""
    name, equals, new = text.partition("=")
    new = new if equals else name
    base, at, digest = new.partition("@")
    tag = "" if at else base.rpartition(":")[2] if ":" in base.rpartition("/")[2] else ""
    repository = base.removesuffix(f":{tag}") if tag else base
    found = {"name": name if equals else repository}
    if repository != found["name"]:
        found["newName"] = repository
    if at:
        found["digest"] = digest
    elif tag:
        found["newTag"] = tag
    return found


# charts


async def _helm(programs: Programs, wanted: Wanted, folder: Path, home: Path) -> bytes:
    options = wanted.source.get("helm") or {}
    argv = [programs.helm, "template", str(options.get("releaseName") or wanted.release), str(folder)]
    argv += ["--namespace", str(options.get("namespace") or wanted.namespace or "default")]
    argv += ["--kube-version", str(options.get("kubeVersion") or wanted.kube_version)]
    if not options.get("skipCrds"):
        argv.append("--include-crds")
    if options.get("skipTests"):
        argv.append("--skip-tests")
    for name in options.get("valueFiles") or ():
        path = _value_file(wanted, folder, str(name))
        if path is not None:
            argv += ["--values", str(path)]
        elif not options.get("ignoreMissingValueFiles"):
            raise ManifestError(f"{name}: no such file or directory")
    argv += _values(options, folder, home)
    if argv[2].startswith("-"):
        raise ManifestError(f"{argv[2]!r} is no name of a release")
    return await run(argv, env=helm_environment(home), cwd=home)


def helm_environment(home: Path) -> dict[str, str]:
    """Helm's own files below ``home``: nothing of the user's repositories or plugins."""
    folders = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return environment(home, {**folders, "HELM_PLUGINS": str(home / "plugins")})


def _value_file(wanted: Wanted, folder: Path, name: str) -> Path | None:
    if name.startswith("$"):
        ref, _, rest = name[1:].partition("/")
        if ref not in wanted.others:
            raise ManifestError(f"source referenced ${ref}, but no source has a ref of that name")
        base, path = wanted.others[ref], PurePosixPath(rest)
    elif name.startswith("/"):
        base, path = wanted.tree, PurePosixPath(name[1:])
    else:
        base, path = folder, PurePosixPath(name)
    if "://" in name:
        raise ManifestError(f"{name}: value files from elsewhere are not there in an embedded cluster")
    whole = (base / path).resolve()
    root = (base if base is not folder else wanted.tree).resolve()
    if not whole.is_relative_to(root):
        raise ManifestError(f"{name}: value file leads out of the repository")
    return whole if whole.is_file() else None


def _values(options: Mapping[str, Any], folder: Path, home: Path) -> list[str]:
    argv: list[str] = []
    values: Any = options.get("valuesObject")
    if values is None and options.get("values"):
        values = next(iter(parsed(str(options["values"]), "values")), {})
    if values:
        path = home / "values.json"
        path.write_text(json.dumps(values), encoding="utf-8")
        argv += ["--values", str(path)]
    for each in options.get("parameters") or ():
        text = f"{each.get('name')}={str(each.get('value') or '').replace(',', chr(92) + ',')}"
        argv += ["--set-string" if each.get("forceString") else "--set", text]
    for each in options.get("fileParameters") or ():
        argv += ["--set-file", f"{each.get('name')}={inside(folder, str(each.get('path')))}"]
    return argv
