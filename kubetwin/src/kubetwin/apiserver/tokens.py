# SPDX-License-Identifier: Apache-2.0
"""Service account tokens: signed JSON web tokens, bound to the account (and pod) they were issued for."""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from kubetwin.decoding import UNREADABLE

ISSUER = "https://kubernetes.default.svc.cluster.local"
DEFAULT_SECONDS = 3600


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TokenSigner:
    """Issues and checks tokens with one EC key (PEM)."""

    def __init__(self, key: bytes) -> None:
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError("the token key must be an EC key")
        self._key = loaded

    def issue(self, claims: dict[str, Any], seconds: int) -> str:
        """A token with ``claims``, valid from now for ``seconds``."""
        now = int(time.time())
        body = {"iss": ISSUER, "iat": now, "nbf": now, "exp": now + seconds, "jti": str(uuid.uuid4()), **claims}
        head = _encode(msgspec.json.encode({"alg": "ES256"}))
        text = f"{head}.{_encode(msgspec.json.encode(body))}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this key signed and that is valid now, else None."""
        text, _, signature = token.rpartition(".")
        try:
            raw = _decode(signature)
            if len(raw) != 64:
                return None
            encoded = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            self._key.public_key().verify(encoded, text.encode(), ec.ECDSA(hashes.SHA256()))
            claims: dict[str, Any] = msgspec.json.decode(_decode(text.partition(".")[2]))
        except (InvalidSignature, ValueError, *UNREADABLE):
            return None
        now = time.time()
        return claims if claims.get("nbf", 0) <= now + 5 and now < claims.get("exp", 0) else None
