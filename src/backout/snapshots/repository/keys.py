# SPDX-License-Identifier: Apache-2.0
"""The repository's keys, wrapped by age for each recipient, and the user's identity that unwraps them."""

from __future__ import annotations

import base64
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from backout.errors import ConfigError, KeyMissing, RefusedError, RepositoryDamaged, UsageError, WrongKey
from backout.model.decoding import UNREADABLE
from backout.snapshots.place import private_folder, written
from backout.snapshots.repository.crypto import KEY, Keyring
from backout.snapshots.repository.format import VERSION, unknown_version

Identity: TypeAlias = Any
"""pyrage.x25519.Identity or pyrage.ssh.Identity; the package has no types."""
AgeRecipient: TypeAlias = Any

MAX_IDENTITY = 64 * 1024


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Who can open the repository: the public half of an identity, and a name for people."""

    recipient: str
    name: str = ""
    added: datetime


class WrappedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the repository. Secret: exists only inside an age file."""

    id: str
    key: str
    created: datetime


class KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``keys/NNNNNNNN``. Secret."""

    version: int
    repository: str
    serial: int
    generations: tuple[WrappedGeneration, ...]
    recipients: tuple[Recipient, ...]

    def keyring(self) -> Keyring:
        """The keys, ready for use.

        Raises:
            RepositoryDamaged: an id is not that of its key.
        """
        ring = Keyring(self.repository, [base64.b64decode(item.key) for item in self.generations])
        if [generation.id.hex() for generation in ring.generations] != [item.id for item in self.generations]:
            raise RepositoryDamaged("The keys of the repository do not have the ids that are written with them.")
        return ring

    def with_new_generation(self) -> KeyFile:
        """The same with one more key."""
        return msgspec.structs.replace(
            self, serial=self.serial + 1, generations=(*self.generations, _generation(self.repository))
        )


class _Version(msgspec.Struct, frozen=True):
    version: int


def first_keys(repository: str, recipients: list[Recipient]) -> KeyFile:
    """Keys for a new repository."""
    generation = _generation(repository)
    return KeyFile(
        version=VERSION, repository=repository, serial=1, generations=(generation,), recipients=tuple(recipients)
    )


def _generation(repository: str) -> WrappedGeneration:
    key = os.urandom(KEY)
    id_ = Keyring(repository, [key]).current.id.hex()
    return WrappedGeneration(id=id_, key=base64.b64encode(key).decode(), created=datetime.now(UTC))


def wrap(keys: KeyFile) -> bytes:
    """Encrypts the keys for all of their recipients."""
    import pyrage

    if not keys.recipients:
        raise RefusedError("A repository needs at least one recipient; without one nobody could open it.")
    wrapped: bytes = pyrage.encrypt(
        msgspec.json.encode(keys), [parse_recipient(item.recipient) for item in keys.recipients]
    )
    return wrapped


def unwrap(content: bytes, identities: list[Identity], *, name: str, where: str, identity: str) -> KeyFile:
    """Decrypts the keys.

    Raises:
        WrongKey: none of the identities is a recipient.
        RepositoryDamaged: the file is damaged.
        FormatUnknown: of another version.
    """
    import pyrage

    try:
        plain = pyrage.decrypt(content, identities)
    except pyrage.DecryptError as error:
        # pyrage has one class for all; this sentence is the one of the age crate for "no stanza fits".
        if "No matching keys" in str(error):
            raise WrongKey(
                "The key {identity} does not open the snapshots in {where}.",
                identity=identity,
                where=where,
                hint="name the right one in snapshots.identity, or let someone who can open them run: "
                "backout snapshot key add RECIPIENT",
            ) from None
        raise RepositoryDamaged("{name} is damaged: the keys in it can't be decrypted.", name=name) from None
    try:
        version = msgspec.json.decode(plain, type=_Version).version
        if version != VERSION:
            raise unknown_version(name, version)
        return msgspec.json.decode(plain, type=KeyFile)
    except (ValueError, *UNREADABLE):
        # Never chained: the text of a decoding error could quote a key.
        raise RepositoryDamaged("{name} is damaged: it holds no keys.", name=name) from None


def parse_recipient(text: str) -> AgeRecipient:
    """Reads ``age1…`` or an SSH public key.

    Raises:
        UsageError: it is neither, or is a secret key.
    """
    import pyrage

    text = text.strip()
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        if re.search("SECRET|PRIVATE", text, re.IGNORECASE):
            raise UsageError(
                "That is a secret key; a recipient is its public half. If others could see it, it has leaked.",
                expected="age1…, or an SSH public key (ssh-ed25519 or ssh-rsa)",
            ) from None
        raise UsageError(
            "{text} is no recipient.", text=text[:100], expected="age1…, or an SSH public key (ssh-ed25519 or ssh-rsa)"
        ) from None


def make_identity(path: Path) -> bool:
    """Makes an identity where none is (0600); False when another process was first.

    Raises:
        CaptureError: the file can't be written.
    """
    import pyrage

    private_folder(path.parent)
    made = str(pyrage.x25519.Identity.generate())
    written(path, f"{made}\n".encode(), exclusive=True)
    return path.read_bytes().strip() == made.encode()


def replace_identity(path: Path) -> str:
    """Puts a new identity before those that the file has, and gives its recipient."""
    import pyrage

    before = _read(path)
    if not before.startswith("AGE-SECRET-KEY-") and "\nAGE-SECRET-KEY-" not in before:
        raise UsageError("{path} is no age identity, so no new one can be put into it.", path=str(path))
    made = pyrage.x25519.Identity.generate()
    written(path, f"{made}\n{before}".encode())
    return str(made.to_public())


def read_identities(path: Path) -> list[Identity]:
    """The identities of a file, the current one first.

    Raises:
        KeyMissing: there is no such file.
        ConfigError: it is no identity, or can't be read.
        RefusedError: others may read it.
    """
    import pyrage

    text = _read(path)
    try:
        if "PRIVATE KEY-----" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines() if line.strip().startswith("AGE-SECRET-KEY-")]
        found: list[Identity] = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except (pyrage.IdentityError, ValueError):
        found = []
    if not found:
        raise ConfigError(
            "{path} is not an age identity.",
            path=str(path),
            expected="a line AGE-SECRET-KEY-…, or an SSH private key without passphrase",
        )
    return found


def recipients_of(identities: list[Identity]) -> list[str]:
    """The public halves, where they can be told (an SSH key does not tell)."""
    return [str(item.to_public()) for item in identities if hasattr(item, "to_public")]


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            state = os.fstat(file.fileno())
            text = file.read(MAX_IDENTITY).decode("ascii", "replace") if stat.S_ISREG(state.st_mode) else ""
    except FileNotFoundError as error:
        raise KeyMissing(
            "The key of the snapshots, {path}, is missing; without it they can't be opened, and none are written.",
            path=str(path),
            hint="put it back from your backup, or name another in snapshots.identity",
        ) from error
    except OSError as error:
        raise ConfigError(
            "The key of the snapshots, {path}, can't be read: {reason}.",
            path=str(path),
            reason=error.strerror or type(error).__name__,
        ) from error
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise RefusedError(
            "The key of the snapshots, {path}, may be read by others.", path=str(path), hint="chmod 600 {path}"
        )
    return text
