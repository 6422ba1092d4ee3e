# SPDX-License-Identifier: Apache-2.0
"""One cluster, spoken to with plain requests."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

Obj = dict[str, Any]

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
USER_AGENT = "contract-suite/1.0"


@dataclass(frozen=True)
class Answer:
    """A whole answer of the server."""

    status: int
    headers: httpx2.Headers
    content: bytes

    @property
    def body(self) -> Any:
        """The decoded JSON body."""
        return json.loads(self.content)

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def reason(self) -> str:
        """The reason of a Status body."""
        return str(self.body.get("reason"))

    @property
    def message(self) -> str:
        """The message of a Status body."""
        return str(self.body.get("message"))

    def ok(self) -> Any:
        """The body of an answer that must be a success."""
        assert self.status < 300, f"{self.status}: {self.text[:2000]}"
        return self.body

    def fails(self, status: int, reason: str) -> Obj:
        """The Status of an answer that must be this failure."""
        assert (self.status, self.body.get("reason")) == (status, reason), f"{self.status}: {self.text[:2000]}"
        found = self.body
        assert found["kind"] == "Status"
        assert found["apiVersion"] == "v1"
        assert found["status"] == "Failure"
        assert found["code"] == status
        return dict(found)


class Watch:
    """An open watch: its events as they come."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self.seen: list[Obj] = []

    def next(self) -> Obj:
        """The next event; fails when none comes in time."""
        for line in self._lines:
            if line.strip():
                event: Obj = json.loads(line)
                self.seen.append(event)
                return event
        raise AssertionError(f"the watch ended; before that came {[e['type'] for e in self.seen]}")

    def until(self, wanted: Callable[[Obj], bool]) -> Obj:
        """The first event that is wanted; those before it are skipped (and kept in `seen`)."""
        while True:
            event = self.next()
            if wanted(event):
                return event

    def take(self, count: int) -> list[Obj]:
        return [self.next() for _ in range(count)]

    def rest(self) -> list[Obj]:
        """Every event until the server ends the stream."""
        found = [json.loads(line) for line in self._lines if line.strip()]
        self.seen += found
        return found


@dataclass
class Cluster:
    """A cluster to be held to the contract."""

    kubeconfig: Path
    context: str
    server: str
    client: httpx2.Client
    is_twin: bool = False
    reaches_pods: bool = False
    """Its API server can reach the programs in simulated pods."""
    compact: Callable[[], None] | None = None
    """Makes the cluster forget old versions, where that can be asked for."""
    headers: dict[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        token: str | None = None,
        user: str | None = None,
        groups: tuple[str, ...] = (),
    ) -> Answer:
        """Send one request. `body`: bytes or text as they are, anything else as JSON. `token` replaces the kubeconfig's
        credentials ("" sends none); `user` and `groups` impersonate."""
        sent: list[tuple[str, str]] = [("Accept", accept)]
        own = dict(self.headers)
        if token is not None:
            own.pop("Authorization", None)
            if token:
                own["Authorization"] = f"Bearer {token}"
        sent += list(own.items())
        content: bytes | None = None
        if body is not None:
            raw = body if isinstance(body, bytes | str) else json.dumps(body)
            content = raw.encode() if isinstance(raw, str) else raw
            sent.append(("Content-Type", content_type))
        if user:
            sent.append(("Impersonate-User", user))
            sent += [("Impersonate-Group", group) for group in groups]
        sent += list((headers or {}).items())
        response = self.client.request(
            method, f"{self.server}{path}", params=_query(query), headers=sent, content=content
        )
        return Answer(response.status_code, response.headers, response.content)

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> Answer:
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any, **more: Any) -> Answer:
        return self.request("PUT", path, body, **more)

    def delete(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.request("DELETE", path, body, **more)

    def patch(self, path: str, body: Any, content_type: str = MERGE, **more: Any) -> Answer:
        return self.request("PATCH", path, body, content_type=content_type, **more)

    def apply(
        self, path: str, body: Any, *, manager: str = "applier", force: bool | None = None, **more: Any
    ) -> Answer:
        """Server-side apply."""
        query = {"fieldManager": manager, **more.pop("query", {})}
        if force is not None:
            query["force"] = force
        return self.patch(path, body, APPLY, query=query, **more)

    @contextmanager
    def watch(
        self, path: str, *, read_timeout: float = 30, accept: str = "application/json", **query: Any
    ) -> Iterator[Watch]:
        """Open a watch; `timeoutSeconds` bounds it on the server's side too."""
        asked = {"watch": True, "timeoutSeconds": 60, **query}
        with self.client.stream(
            "GET",
            f"{self.server}{path}",
            params=_query(asked),
            headers={"Accept": accept, **self.headers},
            timeout=httpx2.Timeout(30, read=read_timeout),
        ) as response:
            if response.status_code != 200:
                response.read()
            assert response.status_code == 200, response.text
            yield Watch(response)

    def wait(self, path: str, wanted: Callable[[Obj], Any], *, seconds: float = 240) -> Obj:
        """The object (or list) at a path, as soon as it is as wanted."""
        end = time.monotonic() + seconds
        pause = 0.02
        while True:
            answer = self.get(path)
            if answer.status == 200 and wanted(answer.body):
                return dict(answer.body)
            if time.monotonic() > end:
                raise AssertionError(f"{path} did not become as wanted in {seconds} s; last: {answer.text[:4000]}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    def needs_compaction(self) -> None:
        """Skip where version 1 can still be read: a real cluster forgets it some minutes after its start."""
        first = {"resourceVersion": "1", "resourceVersionMatch": "Exact", "limit": "1"}
        if self.compact is not None:
            self.compact()
        end = time.monotonic() + (10 if self.compact is not None else 0)
        while self.get("/api/v1/namespaces", query=first).status != 410:
            if time.monotonic() > end:
                assert self.compact is None, "this cluster was told to forget its first versions, and has not"
                pytest.skip("this cluster still remembers its first versions; try again some minutes after its start")
            time.sleep(0.05)

    def wait_gone(self, path: str, *, seconds: float = 240) -> None:
        """Wait until a path is not found any more."""
        end = time.monotonic() + seconds
        while (answer := self.get(path)).status != 404:
            assert time.monotonic() < end, f"{path} is still there after {seconds} s: {answer.text[:3000]}"
            time.sleep(0.05)


def _query(query: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in (query or {}).items():
        for item in value if isinstance(value, list | tuple) else (value,):
            found.append((key, str(item).lower() if isinstance(item, bool) else str(item)))
    return found


def connect(kubeconfig: Path, context: str | None = None, *, is_twin: bool = False) -> Cluster:
    """The cluster of a kubeconfig's context (default: the current one), with its token or client certificate."""
    config = yaml.safe_load(kubeconfig.read_text())
    name = context or config["current-context"]

    def entry(kind: str, wanted: str) -> Obj:
        return next(dict(item[kind]) for item in config[f"{kind}s"] if item["name"] == wanted)

    chosen = entry("context", name)
    target, user = entry("cluster", chosen["cluster"]), entry("user", chosen["user"])
    trust = ssl.create_default_context()
    if "certificate-authority-data" in target:
        trust.load_verify_locations(cadata=base64.b64decode(target["certificate-authority-data"]).decode())
    elif "certificate-authority" in target:
        trust.load_verify_locations(target["certificate-authority"])
    if target.get("insecure-skip-tls-verify"):
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    headers = {"User-Agent": USER_AGENT}
    if token := user.get("token"):
        headers["Authorization"] = f"Bearer {token}"
    elif "client-certificate-data" in user or "client-certificate" in user:
        _load_certificate(trust, user)
    else:
        raise AssertionError(f"user of context {name}: the suite can use a token or a client certificate only")
    client = httpx2.Client(verify=trust, timeout=600, trust_env=False)
    return Cluster(kubeconfig, name, target["server"].rstrip("/"), client, is_twin, headers=headers)


def _load_certificate(trust: ssl.SSLContext, user: Obj) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for kind in ("client-certificate", "client-key"):
            if f"{kind}-data" in user:
                path = Path(folder) / kind
                path.write_bytes(base64.b64decode(user[f"{kind}-data"]))
            else:
                path = Path(user[kind])
            paths.append(path)
        trust.load_cert_chain(*paths)
