# SPDX-License-Identifier: Apache-2.0
"""argocd-server: the API over HTTP on a loopback port, with the same objects behind it that the controller works on.

Facts: argo-cd server/server.go (grpc-gateway 1.16 with util/grpc/json.go, so that numbers are numbers), grpc-gateway
runtime/errors.go (status of each gRPC code, ``{error, code, message}``), server/session, server/settings, server/version, server/account.
Not there: single sign-on, streams, gRPC itself (so the argocd program needs ``--grpc-web``, which is not there either), the user interface.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from typing import Any

from kubetwin.client import ApiException, Obj
from kubetwin.gitops.argocd import tokens
from kubetwin.gitops.argocd.api import ApplicationApi
from kubetwin.gitops.argocd.calls import CODES, Call, Refused
from kubetwin.gitops.argocd.controller import ApplicationController
from kubetwin.gitops.argocd.tracking import Tracking
from kubetwin.kinds import CONFIGMAPS, SECRETS
from kubetwin.serving.http import HttpsServer, Request, Response

VERSION = "v3.5.0"
SECRET, INITIAL = "argocd-secret", "argocd-initial-admin-secret"


class ArgoServer:
    """Serves until :meth:`close`; :attr:`url` is known after :meth:`start`."""

    def __init__(self, controller: ApplicationController) -> None:
        self.controller = controller
        self.applications = ApplicationApi(self)
        self._http = HttpsServer(self.handle, None)
        self._key = b""
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Makes the Secrets of a new installation, and listens."""
        namespace = self.controller.settings.namespace
        key = await self._secret(SECRET, "server.secretkey")
        await self._secret(INITIAL, "password")
        self._key = key.encode()
        port = await self._http.start(port=port)
        self.url = f"http://127.0.0.1:{port}"
        await self._announce(namespace)

    async def _secret(self, name: str, key: str) -> str:
        """A value of a Secret, made when it is not there."""
        api, namespace = self.controller.ctx.api, self.controller.settings.namespace
        value = secrets.token_urlsafe(32)
        meta = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/part-of": "argocd"}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {key: value}}
        try:
            await api.create(SECRETS, body)
        except ApiException as error:
            if not error.already_exists:
                raise
            found = await api.get(SECRETS, name, namespace)
            value = base64.b64decode((found.get("data") or {}).get(key, "")).decode() or value
        return value

    async def _announce(self, namespace: str) -> None:
        """``url`` of argocd-cm says where it is, as people configure it."""
        await self.controller.ctx.api.patch(CONFIGMAPS, "argocd-cm", {"data": {"url": self.url}}, namespace)

    async def close(self) -> None:
        await self._http.close()

    def token(self, account: str = "admin", *, lifetime: float = 86400.0) -> str:
        """A session of an account, as its login gives one."""
        return tokens.issue(self._key, f"{account}:login", lifetime=lifetime)

    # requests

    async def handle(self, request: Request) -> Response:
        """The answer; errors are answers, too."""
        try:
            found = await self._route(request)
        except Refused as refused:
            return _error(refused.code, str(refused))
        except ApiException as error:
            code = {404: "NotFound", 409: "Aborted", 403: "PermissionDenied", 422: "InvalidArgument"}.get(error.code)
            return _error(code or "Internal", error.message or str(error))
        except OSError as error:
            return _error("Unavailable", str(error))
        return _answer(200, found)

    async def _route(self, request: Request) -> Any:
        parts = [each for each in request.path.split("/") if each]
        if parts[:1] != ["api"]:
            raise Refused("NotFound", "Not Found")
        if parts == ["api", "version"]:
            return {"Version": VERSION, "Platform": "linux/amd64", "HelmVersion": "v4", "KubectlVersion": "v0.36.0"}
        if parts[1:2] != ["v1"]:
            raise Refused("NotFound", "Not Found")
        parts = parts[2:]
        call = Call(request)
        if parts == ["session"] and request.method == "POST":
            return await self._login(call)
        if parts == ["settings"] and request.method == "GET":
            return self._settings()
        call.claims = self._claims(request)
        match parts:
            case ["session"] if request.method == "DELETE":
                return {}
            case ["session", "userinfo"]:
                return {"loggedIn": True, "username": call.user, "iss": tokens.ISSUER}
            case ["account", "can-i", resource, action, *name]:
                return {"value": "yes" if self.permits(call, resource, action, "/".join(name)) else "no"}
            case ["account", name, "token"] if request.method == "POST":
                return self._account_token(call, name)
            case ["projects", project, "roles", role, "token"] if request.method == "POST":
                return self._project_token(call, project, role)
            case ["projects", name] if request.method == "GET":
                self.enforce(call, "projects", "get", name)
                found = self.controller.projects.get(name, self.controller.settings.namespace)
                if found is None:
                    raise Refused("NotFound", f'appprojects.argoproj.io "{name}" not found')
                return found
            case ["applications", *rest]:
                return await self.applications.handle(call, rest)
        raise Refused("NotFound", "Not Found")

    # who asks

    def _claims(self, request: Request) -> Obj:
        header = request.headers.get("authorization", "")
        token = header[7:] if header.lower().startswith("bearer ") else ""
        for cookie in request.headers.get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            token = token or (value if name == "argocd.token" else "")
        if not token:
            raise Refused("Unauthenticated", "no session information")
        try:
            claims = tokens.verified(self._key, token)
            self._known(claims)
        except tokens.SessionError as error:
            raise Refused("Unauthenticated", f"invalid session: {error}") from None
        return claims

    def _known(self, claims: Obj) -> None:
        """An account that is switched off, or a project's role that is gone, has no session any more."""
        name, _, kind = str(claims.get("sub")).partition(":")
        if name == "proj":
            project, _, role = kind.partition(":")
            found = self.controller.projects.get(project, self.controller.settings.namespace) or {}
            if not any(each.get("name") == role for each in (found.get("spec") or {}).get("roles") or ()):
                raise tokens.SessionError(f"project {project} has no role {role}")
            return
        account = tokens.accounts(self.controller.configured()).get(name)
        if account is None:
            raise tokens.SessionError(f"account '{name}' does not exist")
        if not account.enabled:
            raise tokens.SessionError(f"account {name} is disabled")
        if (kind or "login") not in account.capabilities:
            raise tokens.SessionError(f"account {name} does not have '{kind}' capability")

    async def _login(self, call: Call) -> Obj:
        body = call.body()
        name, password = str(body.get("username") or ""), str(body.get("password") or "")
        source = INITIAL if name == "admin" else SECRET
        found = self.controller.secrets.get(source, self.controller.settings.namespace) or {}
        key = "password" if name == "admin" else f"accounts.{name}.password"
        wanted = base64.b64decode((found.get("data") or {}).get(key) or "").decode(errors="replace")
        account = tokens.accounts(self.controller.configured()).get(name)
        good = account is not None and account.enabled and "login" in account.capabilities
        if not password or not wanted or not hmac.compare_digest(wanted, password) or not good:
            raise Refused("Unauthenticated", "Invalid username or password")
        return {"token": self.token(name)}

    def _account_token(self, call: Call, name: str) -> Obj:
        if call.user != name:
            self.enforce(call, "accounts", "update", name)
        account = tokens.accounts(self.controller.configured()).get(name)
        if account is None:
            raise Refused("NotFound", f"account '{name}' does not exist")
        if "apiKey" not in account.capabilities:
            raise Refused("Unknown", f"account {name} does not have apiKey capability")
        lifetime = float(call.body().get("expiresIn") or 0)
        return {"token": tokens.issue(self._key, f"{name}:apiKey", lifetime=lifetime)}

    def _project_token(self, call: Call, project: str, role: str) -> Obj:
        self.enforce(call, "projects", "update", project)
        lifetime = float(call.body().get("expiresIn") or 0)
        return {"token": tokens.issue(self._key, f"proj:{project}:{role}", lifetime=lifetime)}

    # what they may

    def permits(self, call: Call, resource: str, action: str, name: str) -> bool:
        """Whether rules allow it; ``name`` of applications is ``project/name``."""
        namespace = self.controller.settings.namespace
        config = (self.controller.config.get("argocd-rbac-cm", namespace) or {}).get("data") or {}
        project = self.controller.projects.get(name.partition("/")[0], namespace)
        lines = tokens.project_rules(project) if project is not None else []
        return tokens.Policy(config, lines).permits(call.subjects, resource, action, name)

    def enforce(self, call: Call, resource: str, action: str, name: str) -> None:
        """Raises Refused when rules do not allow it."""
        if not self.permits(call, resource, action, name):
            told = f"{resource}, {action}, {name}, sub: {call.subjects[0]}"
            raise Refused("PermissionDenied", f"permission denied: {told}")

    def _settings(self) -> Obj:
        settings = self.controller.configured()
        tracking = Tracking.of(settings)
        return {
            "url": settings.get("url", self.url),
            "appLabelKey": tracking.label,
            "trackingMethod": tracking.method,
            "controllerNamespace": self.controller.settings.namespace,
            "hydratorEnabled": True,
            "syncWithReplaceAllowed": True,
            "userLoginsDisabled": False,
            "statusBadgeEnabled": False,
            "execEnabled": False,
        }


def _answer(status: int, body: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(body, separators=(",", ":")).encode())


def _error(code: str, message: str) -> Response:
    number, status = CODES[code]
    return _answer(status, {"error": message, "code": number, "message": message})
