# SPDX-License-Identifier: Apache-2.0
"""The object storage of a simulated cluster: which credentials are right for which bucket.

There is no storage behind it: it only knows who may come in. The first credentials that a container uses for a bucket
are taken to be right, and written down as a ConfigMap ``object-store-…`` in ``kube-system`` with the label
``twin.backout.dev/object-store: "true"``: salted digests, never the credentials. Delete it, and the next credentials
are right; write ``error`` into its ``data``, and every request is answered with that text (a bucket policy, an outage).
Keys of ``data``: ``type``, ``endpoint``, ``bucket``, ``salt``, ``identity``, ``secret``, ``error``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from kubetwin.client import Api, ApiException, Obj, retry_delay
from kubetwin.kinds import CONFIGMAPS
from kubetwin.meta import labels_of, name_of, namespace_of

log = logging.getLogger(__name__)
LABEL = "twin.backout.dev/object-store"
NAMESPACE = "kube-system"
_IDENTITY = ("access_key", "storage_account", "user_name", "username", "app_id", "access_key_id")
_PLACE = ("bucket", "container", "endpoint", "region", "prefix", "insecure", "signature_version2", "bucket_lookup_type")
_NO_SUCH_KEY = "The Access Key Id you provided does not exist in our records."
_BAD_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
_DENIED = "Access Denied."


@dataclass(frozen=True, slots=True)
class _Claim:
    """What somebody shows at the door."""

    type: str
    endpoint: str
    bucket: str
    identity: str
    secret: str

    @property
    def place(self) -> tuple[str, str, str]:
        return self.type, self.endpoint, self.bucket


def _claim(document: Mapping[str, object]) -> _Claim:
    config = document.get("config")
    values = {str(k): v for k, v in config.items()} if isinstance(config, dict) else {}
    identity = "/".join(str(values.get(name, "")) for name in _IDENTITY if values.get(name))
    # Whatever is neither a place nor a name may be part of the proof.
    rest = sorted((k, str(v)) for k, v in values.items() if k not in _IDENTITY + _PLACE and not isinstance(v, dict))
    bucket = str(values.get("bucket") or values.get("container") or "")
    endpoint = str(values.get("endpoint") or "")
    return _Claim(str(document.get("type", "")).upper(), endpoint, bucket, identity, repr(rest))


class ObjectStore:
    """The accounts of one cluster, as its ConfigMaps say."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, str]] = {}
        self._unwritten: asyncio.Queue[Obj] = asyncio.Queue()

    def change(self, old: Obj | None, new: Obj | None) -> None:
        """Take over a changed ConfigMap."""
        obj = new or old or {}
        if namespace_of(obj) != NAMESPACE or labels_of(obj).get(LABEL) != "true":
            return
        if new is None:
            self._accounts.pop(name_of(obj), None)
        else:
            self._accounts[name_of(obj)] = dict(new.get("data") or {})

    def error(self, document: Mapping[str, object]) -> str:
        """The answer to any request with this configuration; empty when it is let in."""
        claim = _claim(document)
        for account in self._accounts.values():
            if (account.get("type", ""), account.get("endpoint", ""), account.get("bucket", "")) == claim.place:
                return _answer(account, claim)
        self._open(claim)
        return ""

    def _open(self, claim: _Claim) -> None:
        salt = secrets.token_hex(8)
        data = {
            "type": claim.type,
            "endpoint": claim.endpoint,
            "bucket": claim.bucket,
            "salt": salt,
            "identity": _digest(salt, claim.identity),
            "secret": _digest(salt, claim.secret),
        }
        name = f"object-store-{_digest('', repr(claim.place))[:10]}"
        self._accounts[name] = data
        self._unwritten.put_nowait(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {LABEL: "true"}},
                "data": data,
            }
        )

    async def run(self, api: Api) -> None:
        """Writes new accounts down, until cancelled."""
        while True:
            account = await self._unwritten.get()
            attempt = 0
            while True:
                try:
                    await api.create(CONFIGMAPS, account)
                    break
                except (ApiException, OSError) as error:
                    if isinstance(error, ApiException) and error.already_exists:
                        break
                    log.debug("object store account: %s", error)
                    await asyncio.sleep(retry_delay(attempt))
                    attempt += 1


def _answer(account: Mapping[str, str], claim: _Claim) -> str:
    if account.get("error"):
        return account["error"]
    salt, s3 = account.get("salt", ""), claim.type == "S3"
    if account.get("identity") and account["identity"] != _digest(salt, claim.identity):
        return _NO_SUCH_KEY if s3 else _DENIED
    if account.get("secret") and account["secret"] != _digest(salt, claim.secret):
        return _BAD_SIGNATURE if s3 else _DENIED
    return ""


def _digest(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()
