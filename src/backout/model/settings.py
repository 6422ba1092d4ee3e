# SPDX-License-Identifier: Apache-2.0
"""The configuration file, as it is allowed to be. Without one, the contexts of the kubeconfig are the clusters."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from backout.errors import DOCS, ConfigError
from backout.model.fleet import OnFailure, Unplanned
from backout.model.giturl import remote_of
from backout.model.policy import PolicySettings
from backout.model.settled import SETTLED
from backout.model.yamltext import Unbounded, load

API_VERSION = "backout.dev/v1"
USUAL_TIMEOUT = 300.0
LONGEST = 86400
"""Seconds of a day."""


class ClusterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cluster: the context that leads to it, and labels to choose it by."""

    context: str = ""
    kubeconfig: str = ""
    labels: dict[str, str] = {}


class GitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The repository that a stack is deployed from. ``path``: a folder in it; ``{cluster}`` stands for the cluster."""

    url: str = ""
    branch: str = ""
    path: str = ""


class CheckSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One HTTP request that must be answered so after a rollback: of an ``ingress`` (from outside) or a ``service``.

    ``host``: one of the Ingress's hosts, when it has several; ``port``: of the Service, by number or name, when it has
    several; ``contains``: text that the answer must hold.
    """

    ingress: str = ""
    service: str = ""
    host: str = ""
    port: int | str = ""
    path: str = "/"
    status: int = 200
    contains: str = ""


class StackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs together: a namespace on one or more clusters."""

    namespace: str
    clusters: tuple[str, ...] = ()
    git: GitSettings = GitSettings()
    checks: tuple[CheckSettings, ...] = ()


class VerifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``soak``: seconds of watching before a verdict. ``timeout``: seconds that a step may take to show its effect."""

    soak: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] = SETTLED.total_seconds()
    timeout: Annotated[float, msgspec.Meta(ge=1, le=LONGEST)] = USUAL_TIMEOUT


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens the next wave, beside the verdicts. ``soak``: seconds after the last of a wave, before its looks are
    repeated."""

    soak: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] = 60.0


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an operation goes over several clusters. ``waves``: numbers, shares (``25%``), labels, names, ``rest``;
    ``parallel``: clusters at a time; ``max_failures``: so many may fail and it goes on all the same; ``deadline``: seconds
    for one part, 0 for no other limit than those of its steps; ``unplanned``: what a cluster that can't be planned means."""

    waves: tuple[str | int, ...] = (1, "25%", "rest")
    parallel: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    max_failures: Annotated[int, msgspec.Meta(ge=0, le=100000)] = 0
    on_failure: OnFailure = "stop"
    gate: GateSettings = GateSettings()
    deadline: Annotated[float, msgspec.Meta(ge=0, le=LONGEST)] = 0.0
    unplanned: Unplanned = "skip"


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``key``: the file with the Ed25519 key that signs checkpoints; ``signers``: public keys (``ssh-ed25519 …``) whose
    checkpoints count, beside the own one's."""

    key: str = ""
    signers: tuple[str, ...] = ()


class SnapshotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where snapshots are kept, who can open them, and with which key this machine does.

    ``repository``: a directory or ``s3://BUCKET/PREFIX``; ``recipients``: further public keys that a new repository is
    made for; ``identity``: the file of this user's key; ``timeout``: seconds for one request to S3; ``before_run``:
    whether a run needs a snapshot of its namespace before it writes, takes one where it can, or takes none.
    """

    repository: str = ""
    recipients: tuple[str, ...] = ()
    identity: str = ""
    endpoint: str = ""
    region: str = ""
    timeout: float = 30.0
    before_run: Literal["always", "if-possible", "never"] = "if-possible"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    apiVersion: str = API_VERSION
    clusters: dict[str, ClusterSettings] = {}
    stacks: dict[str, StackSettings] = {}
    policy: PolicySettings = PolicySettings()
    verify: VerifySettings = VerifySettings()
    fleet: FleetSettings = FleetSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    audit: AuditSettings = AuditSettings()
    state: str = ""

    def in_waves(self, *, wave: str | None = None, **given: Any) -> Settings:
        """These, with other rules for several clusters; ``wave`` as it is written, with commas."""
        if wave is not None:
            given["waves"] = tuple(part.strip() for part in wave.split(","))
        return msgspec.structs.replace(self, fleet=msgspec.structs.replace(self.fleet, **given))

    def patient(self, soak: float | None = None, timeout: float | None = None) -> Settings:
        """These, with other times for verification where they are given; seconds."""
        given = {name: value for name, value in (("soak", soak), ("timeout", timeout)) if value is not None}
        return msgspec.structs.replace(self, verify=msgspec.structs.replace(self.verify, **given))


def parse_settings(text: str, filename: str) -> Settings:
    """Reads a configuration file's text.

    Raises:
        ConfigError: not YAML, a wrong type, or an unknown key; says the file, the line and the key.
    """
    import yaml

    try:
        data = load(text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (Unbounded, RecursionError) as error:
        raise ConfigError("{file} can't be read: {problem}.", file=filename, problem=str(error)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "{file}, line {line}: this is not YAML: {problem}.",
            file=filename,
            line=mark.line + 1 if mark else 1,
            problem=getattr(error, "problem", None) or "unreadable",
            hint="Mend the line, or leave the file out: no configuration is needed for one cluster.",
        ) from error
    if data is None:
        return Settings()
    try:
        settings = msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        problem, keys = _where(data, error)
        raise ConfigError(
            "{file}, line {line}: {key}: {problem}.",
            file=filename,
            line=_line(node, keys),
            key=".".join(keys) or "the file",
            problem=problem,
            hint="{docs}/configuration.md lists every key.",
            docs=DOCS,
        ) from error
    if settings.apiVersion != API_VERSION:
        raise ConfigError(
            "{file}, line {line}: apiVersion is {found_version}.",
            file=filename,
            line=_line(node, ["apiVersion"]),
            found_version=settings.apiVersion,
            expected=API_VERSION,
        )
    keys, problem, expected = settings.policy.problem()
    if problem:
        raise ConfigError(
            "{file}, line {line}: policy.{key}: {problem}",
            file=filename,
            line=_line(node, ["policy", *keys]),
            key=".".join(keys),
            problem=problem,
            expected=expected,
            hint="{docs}/configuration.md lists every key.",
            docs=DOCS,
        )
    for name, stack in settings.stacks.items():
        key, problem, expected = _git_problem(stack.git)
        if problem:
            raise ConfigError(
                "{file}, line {line}: stacks.{stack}.git.{key}: {problem}",
                file=filename,
                stack=name,
                key=key,
                line=_line(node, ["stacks", name, "git", key]),
                problem=problem,
                expected=expected,
                hint="{docs}/configuration.md lists every key.",
                docs=DOCS,
            )
        for number, check in enumerate(stack.checks):
            problem, expected = _check_problem(check)
            if problem:
                raise ConfigError(
                    "{file}, line {line}: stacks.{stack}.checks[{number}]: {problem}",
                    file=filename,
                    stack=name,
                    line=_line(node, ["stacks", name, "checks"]),
                    number=number,
                    problem=problem,
                    expected=expected,
                    hint="{docs}/configuration.md lists every key.",
                    docs=DOCS,
                )
        for cluster in stack.clusters:
            if settings.clusters and cluster not in settings.clusters:
                raise ConfigError(
                    "{file}, line {line}: stack {stack} names the cluster {cluster}, which is not under clusters.",
                    file=filename,
                    line=_line(node, ["stacks", name, "clusters"]),
                    stack=name,
                    cluster=cluster,
                )
    return settings


_BRANCH = re.compile(r"(?![-/])(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|/$|\.$))[^\x00-\x20\x7f~^:?*\[\\]+")
"""git-check-ref-format(1), but for the rarest rules."""


def _check_problem(check: CheckSettings) -> tuple[str, str]:
    """Problem, what is expected."""
    if bool(check.ingress) == bool(check.service):
        return "it has to name one object.", "either ingress or service"
    if not check.path.startswith("/") or not check.path.isprintable():
        return "that can't be a path.", "one that begins with a slash"
    if not 100 <= check.status <= 599:
        return "that is no status of HTTP.", "100 to 599"
    if check.service and check.host:
        return "a Service has no hosts.", "host together with ingress only"
    if check.ingress and check.port != "":
        return "an Ingress is asked at the port that its controller published.", "port together with service only"
    return "", ""


def _git_problem(git: GitSettings) -> tuple[str, str, str]:
    """Key, problem, what is expected; the texts hold nothing of the URL that could be secret."""
    if not git.url and (git.branch or git.path):
        return "url", "it is missing.", "the URL of the repository"
    if git.url:
        try:
            remote_of(git.url)
        except ConfigError as error:
            return "url", error.message, error.expected
    if git.branch and not _BRANCH.fullmatch(git.branch):
        return "branch", "that can't be a branch.", "its short name, such as main"
    if git.path.startswith("/") or ".." in git.path.split("/") or "\\" in git.path:
        return "path", "it leads out of the repository.", "a folder in it, such as overlays/{{cluster}}"
    return "", "", ""


def _where(data: Any, error: msgspec.ValidationError) -> tuple[str, list[str]]:
    """What is wrong, and the keys that lead there. msgspec names no key of a mapping, so each entry is tried alone."""
    before: list[str] = []
    for section, shape in (("clusters", ClusterSettings), ("stacks", StackSettings)):
        entries = data.get(section) if isinstance(data, dict) else None
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            try:
                msgspec.convert(entry, shape)
            except msgspec.ValidationError as inner:
                error, before = inner, [section, str(name)]
    problem, _, path = str(error).partition(" - at ")
    keys = [*before, *re.findall(r"[^.$`\[\]]+", path)]
    unknown = problem.partition("unknown field `")[2].rstrip("`")
    return problem, [*keys, unknown] if unknown else keys


def _line(node: Any, keys: list[str]) -> int:
    """The line of the deepest part of ``keys`` that is there."""
    if node is None:
        return 1
    line = int(node.start_mark.line) + 1
    for key in keys:
        pairs = node.value if isinstance(node.value, list) else []
        found = next((pair for pair in pairs if isinstance(pair, tuple) and pair[0].value == key), None)
        if found is None:
            return line
        line, node = int(found[0].start_mark.line) + 1, found[1]
    return line
