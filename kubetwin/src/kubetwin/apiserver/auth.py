# SPDX-License-Identifier: Apache-2.0
"""Who a request comes from: bearer tokens, service account tokens, impersonation."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

from kubetwin.apiserver.rbac import Attributes, denied
from kubetwin.apiserver.state import AUTHENTICATED, ClusterState
from kubetwin.apiserver.status import bad_request, unauthorized
from kubetwin.serving.http import Request, User

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_ACCOUNT = "system:serviceaccount:"


def bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authenticate(cluster: ClusterState, request: Request) -> User:
    """The user of the request; raises ApiError 401."""
    if request.user is not None:
        return request.user
    token = bearer(request)
    if not token:
        return ANONYMOUS
    user = token_user(cluster, token)
    if user is None:
        raise unauthorized()
    return user


def token_user(cluster: ClusterState, token: str) -> User | None:
    """The user whose bearer token this is, None when the token is not valid."""
    for known, user in cluster.tokens.items():
        if hmac.compare_digest(known.encode(), token.encode()):
            return user
    if token.count(".") != 2:
        return None
    claims = cluster.signer.verify(token)
    return _account_user(cluster, claims.get("kubernetes.io") or {}, claims.get("jti", "")) if claims else None


def _account_user(cluster: ClusterState, claims: dict[str, dict[str, str]], credential: str) -> User | None:
    """The service account of a token, None when it (or the pod the token is bound to) is gone."""
    namespace, account = str(claims.get("namespace", "")), claims.get("serviceaccount") or {}
    name, uid = account.get("name", ""), account.get("uid", "")
    entry = cluster.store.collection(("", "serviceaccounts")).get(namespace, name)
    if entry is None or entry.obj["metadata"]["uid"] != uid:
        return None
    extra: dict[str, tuple[str, ...]] = {"authentication.kubernetes.io/credential-id": (f"JTI={credential}",)}
    pod = claims.get("pod")
    if pod:
        bound = cluster.store.collection(("", "pods")).get(namespace, pod.get("name", ""))
        if bound is None or bound.obj["metadata"]["uid"] != pod.get("uid"):
            return None
        extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
        extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
    return account_user(namespace, name, uid, extra)


def account_user(namespace: str, name: str, uid: str, extra: dict[str, tuple[str, ...]] | None = None) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"{_ACCOUNT}{namespace}:{name}", groups, uid, extra or {})


def impersonate(cluster: ClusterState, request: Request, user: User, wanted: Attributes) -> User:
    """The user whom the request's Impersonate headers name, if ``user`` may; raises ApiError 400 or 403."""
    headers = {k: v for k, v in request.headers.items() if k.startswith("impersonate-")}
    if not headers:
        return user
    name = headers.get("impersonate-user", "")
    groups = [g for g in headers.get("impersonate-group", "").split("\n") if g]
    extra = _extras(headers)
    if not name:
        said = ", ".join(f'"{key}":{_go_list(values)}' for key, values in sorted(extra.items()))
        raise bad_request(
            f'requested &user.DefaultInfo{{Name:"", UID:"{headers.get("impersonate-uid", "")}", '
            f"Groups:{_go_list(groups)}, Extra:map[string][]string{f'{{{said}}}' if said else '(nil)'}}} without"
            " impersonating a user name"
        )

    def require(who: User, attributes: Attributes) -> None:
        if not cluster.authorizer.allowed(who, attributes):
            # Without the plain right, a server of 1.36 asks for the constrained one, and says so.
            raise denied(who, replace(wanted, verb=f"impersonate-on:user-info:{wanted.verb}"))

    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace, account = name.removeprefix(_ACCOUNT).split(":")
        require(user, Attributes("impersonate", resource="serviceaccounts", namespace=namespace, name=account))
        if not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    else:
        require(user, Attributes("impersonate", resource="users", name=name))
    for group in groups:
        require(user, Attributes("impersonate", resource="groups", name=group))
    if uid := headers.get("impersonate-uid", ""):
        require(user, Attributes("impersonate", "authentication.k8s.io", "uids", name=uid))
    for key, values in extra.items():
        for item in values:
            require(user, Attributes("impersonate", "authentication.k8s.io", "userextras", key, name=item))
    (known,) = ANONYMOUS.groups
    if name == ANONYMOUS.name:
        groups += [known] if known not in groups else []
    elif AUTHENTICATED not in groups and known not in groups:
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, extra)


def _extras(headers: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The extras in impersonation headers. Names of headers are written in small letters, and percent-encoded."""
    prefix = "impersonate-extra-"
    found = ((name.removeprefix(prefix), value) for name, value in headers.items() if name.startswith(prefix))
    return {unquote(key).lower(): tuple(value.split("\n")) for key, value in found}


def _go_list(values: Sequence[str]) -> str:
    """As Go's ``%#v`` prints a list of texts."""
    return "[]string{" + ", ".join(f'"{value}"' for value in values) + "}" if values else "[]string(nil)"
