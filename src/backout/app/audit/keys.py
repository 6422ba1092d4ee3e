# SPDX-License-Identifier: Apache-2.0
"""The Ed25519 keys of checkpoints, written as OpenSSH writes them."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from backout.errors import ConfigError, KeyMissing, RefusedError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from backout.model.settings import AuditSettings

LARGEST = 64 * 1024
"""Bytes of a file with keys."""
KIND = "ssh-ed25519"
_EXPECTED = "an Ed25519 key as OpenSSH writes it (ssh-keygen -t ed25519), without passphrase"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs. ``public`` as in an ``authorized_keys`` file, without a comment."""

    private: Ed25519PrivateKey
    public: str
    path: Path

    def sign(self, content: bytes) -> str:
        """The signature, in base64."""
        return base64.b64encode(self.private.sign(content)).decode()


def key_file(settings: AuditSettings) -> Path:
    """The file of the user's own key: the configured one, else ``audit.key`` in the data folder."""
    from backout.snapshots.place import data_folder

    return Path(settings.key).expanduser() if settings.key else data_folder() / "audit.key"


def signer(settings: AuditSettings, *, make: bool) -> Signer:
    """The user's own key; with ``make`` one is made where none is, unless the configuration names a file.

    Raises:
        KeyMissing: there is none.
        ConfigError: the file holds none, or can't be read.
        RefusedError: others may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    path = key_file(settings)
    if make and not settings.key and not path.exists():
        _make(path)
    content = _read(path)
    try:
        found = load_ssh_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError("{path} holds no key that can sign the audit.", path=str(path), expected=_EXPECTED)
    return Signer(found, _public(found), path)


def trusted(settings: AuditSettings, named: Iterable[str] = ()) -> frozenset[str]:
    """The public keys whose checkpoints count: those that were ``named`` (keys, or files of them) alone; else those of the
    configuration and the user's own.

    Raises:
        UsageError: a name is neither a key nor a file of keys.
        ConfigError: the configuration has one that is none.
    """
    if given := tuple(named):
        return frozenset(key for text in given for key in _keys(text))
    found = {parsed(text) for text in settings.signers}
    if None in found:
        raise ConfigError("audit.signers has a key that is none.", expected="lines ssh-ed25519 AAAA…")
    # Where there is no own key, it vouches for nothing, and that is said.
    with suppress(KeyMissing, ConfigError, RefusedError):
        found.add(signer(settings, make=False).public)
    return frozenset(key for key in found if key)


def parsed(text: str) -> str | None:
    """``ssh-ed25519 AAAA…`` without its comment; None where it is no such key."""
    words = text.split()
    if len(words) < 2 or words[0] != KIND:
        return None
    return f"{words[0]} {words[1]}" if _load(f"{words[0]} {words[1]}") is not None else None


def fingerprint(public: str) -> str:
    """``SHA256:…`` as ssh-keygen says it (RFC 4648 base64 without padding)."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, ValueError):
        return "?"
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def holds(public: str, signature: str, content: bytes) -> bool:
    """Whether the signature is one by that key over the content."""
    from cryptography.exceptions import InvalidSignature

    key = _load(public)
    if key is None:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _load(public: str):  # type: ignore[no-untyped-def]
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        key = load_ssh_public_key(public.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _public(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from backout.snapshots.place import private_folder, written

    private_folder(path.parent)
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    written(path, made, exclusive=True)


def _keys(text: str) -> list[str]:
    if (key := parsed(text)) is not None:
        return [key]
    path = Path(text).expanduser()
    try:
        lines = path.read_bytes()[:LARGEST].decode("utf-8", "replace").splitlines() if path.is_file() else []
    except OSError as error:
        raise UsageError("{path} can't be read: {reason}.", path=str(path), reason=str(error.strerror)) from error
    found = [key for line in lines if (key := parsed(line)) is not None]
    if not found:
        raise UsageError(
            "{text} is no public key, and no file with one.",
            text=text[:100],
            expected="ssh-ed25519 AAAA…, or a file with such lines (backout audit key prints yours)",
        )
    return found


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            state = os.fstat(file.fileno())
            content = file.read(LARGEST) if stat.S_ISREG(state.st_mode) else b""
    except FileNotFoundError as error:
        raise KeyMissing(
            "The key of the audit, {path}, is missing: no checkpoint can be signed.",
            path=str(path),
            hint="put it back from your backup, or name another in audit.key; `backout audit checkpoint` makes one where none is named",
        ) from error
    except OSError as error:
        raise ConfigError(
            "The key of the audit, {path}, can't be read: {reason}.",
            path=str(path),
            reason=error.strerror or type(error).__name__,
        ) from error
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise RefusedError(
            "The key of the audit, {path}, may be read by others.", path=str(path), hint="chmod 600 {path}"
        )
    return content
