# SPDX-License-Identifier: Apache-2.0
"""Sealing and opening, addresses and digests, under the repository's keys (docs/snapshot-format.md, Encryption)."""

from __future__ import annotations

import hashlib
import hmac
import os
import zlib
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backout.errors import RepositoryDamaged, TooLarge
from backout.model.scope import ClusterIdentity
from backout.snapshots.repository.format import CONTEXT, MAX_CONTENT, NONCE, PLAIN, TAG, Kind, damaged, header

KEY = 32
SMALL = 8192


class Generation:
    """One 32-byte key of a repository, and the subkeys that are made from it."""

    def __init__(self, key: bytes, repository: bytes) -> None:
        if len(key) != KEY:
            raise RepositoryDamaged("A key of the repository has the wrong length.")
        self.key = key
        self._repository = repository
        self.id = hmac.digest(self._subkey("id"), b"generation", "sha256")[:8]
        self.fingerprint = hmac.digest(self._subkey("id"), b"fingerprint", "sha256")[:16].hex()
        self._address = self._subkey("address")

    def _subkey(self, purpose: str) -> bytes:
        info = f"backout snapshots 1 {purpose}".encode()
        return HKDF(algorithm=SHA256(), length=KEY, salt=self._repository, info=info).derive(self.key)

    @cached_property
    def _cipher(self) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._subkey("encrypt"))

    def address(self, kind: Kind, content: bytes) -> bytes:
        """The address of a content; equal for equal contents, and no hint at the content without the key."""
        state = hmac.new(self._address, bytes((kind,)), "sha256")
        state.update(content)
        return state.digest()

    def context(self, identity: ClusterIdentity, namespace: str) -> bytes:
        """What binds a summary to its cluster and namespace."""
        text = "\0".join((identity.uid, identity.ca, namespace)).encode()
        return hmac.digest(self._subkey("context"), text, "sha256")[:CONTEXT]

    def proof(self, content: bytes) -> str:
        """Proves that an archive was made by a holder of this key."""
        return hmac.digest(self._subkey("export"), content, "sha256").hex()

    @cached_property
    def _digest(self) -> bytes:
        return self._subkey("digest")

    def digest(self, content: bytes) -> str:
        """Twelve hex digits that tell equal values from different ones, and nothing else without the key."""
        return hmac.digest(self._digest, content, "sha256")[:6].hex()

    def seal(self, kind: Kind, name: bytes, content: bytes) -> bytes:
        """Compresses where it helps, encrypts and authenticates.

        Raises:
            TooLarge: over 64 MiB.
        """
        if len(content) > MAX_CONTENT:
            raise TooLarge(
                "An object of {size} bytes is larger than a snapshot can hold.",
                size=len(content),
                limit=MAX_CONTENT,
                expected="at most {limit} bytes",
            )
        packed = deflate(content) if len(content) > 64 else content
        method, body = (1, packed) if len(packed) < len(content) else (0, content)
        nonce = os.urandom(NONCE)
        plain = PLAIN.pack(method, len(content)) + body
        return nonce + self._cipher.encrypt(nonce, plain, self._associated(kind, name))

    def open(self, kind: Kind, name: bytes, sealed: bytes, label: str) -> bytes:
        """Authenticates, decrypts, and decompresses to exactly the size that was sealed with it.

        Raises:
            RepositoryDamaged: altered, exchanged, or cut; ``label`` says what it is.
        """
        if len(sealed) < NONCE + TAG + PLAIN.size:
            raise damaged(label, "it is too short")
        try:
            plain = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self._associated(kind, name))
        except InvalidTag:
            raise damaged(label, "its content is not what was written") from None
        method, size = PLAIN.unpack_from(plain)
        body = plain[PLAIN.size :]
        if size > MAX_CONTENT:
            raise damaged(label, "it claims to be larger than anything may be")
        if method == 1:
            body = inflate(body, size, label)
        elif method != 0:
            raise damaged(label, "it is compressed in an unknown way")
        if len(body) != size:
            raise damaged(label, "it has not the size that was written with it")
        return body

    def open_addressed(self, kind: Kind, address: bytes, sealed: bytes, label: str) -> bytes:
        """Opens an object or page, and checks that the content has the address."""
        content = self.open(kind, address, sealed, label)
        if not hmac.compare_digest(self.address(kind, content), address):
            raise damaged(label, "its content does not belong to its address")
        return content

    def _associated(self, kind: Kind, name: bytes) -> bytes:
        return header(kind, self.id) + self._repository + name


def deflate(content: bytes) -> bytes:
    """zlib at level 6. For a manifest, setting up takes most of the time: a window of 8 KiB needs a fifth of it (15 µs
    for 70 µs on 2 KB), for the same size."""
    small = len(content) <= SMALL
    packer = zlib.compressobj(6, zlib.DEFLATED, 13 if small else 15, 6 if small else 8)
    return packer.compress(content) + packer.flush()


def inflate(body: bytes, size: int, label: str) -> bytes:
    """Decompresses, but never more than ``size`` bytes."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(body, size + 1)
    except zlib.error:
        raise damaged(label, "it can't be decompressed") from None
    if len(content) != size or not unpacker.eof or unpacker.unused_data:
        raise damaged(label, "it decompresses to another size than was written with it")
    return content


class Keyring:
    """The generations of a repository; the last one encrypts."""

    def __init__(self, repository: str, keys: list[bytes]) -> None:
        self.repository = repository
        self.generations = [Generation(key, bytes.fromhex(repository)) for key in keys]
        if not self.generations:
            raise RepositoryDamaged("The repository has no keys.")
        self._by_id = {generation.id: generation for generation in self.generations}

    @property
    def current(self) -> Generation:
        """The generation that everything new is written with."""
        return self.generations[-1]

    def generation(self, id_: bytes, name: str) -> Generation:
        """The generation that wrote ``name``.

        Raises:
            RepositoryDamaged: no such key is known: the header was altered, or another repository's file put here.
        """
        found = self._by_id.get(id_)
        if found is None:
            raise damaged(name, "it was written with a key that this repository does not have")
        return found

    @property
    def fingerprint(self) -> str:
        """What people compare to know that two machines use the same repository."""
        text = "".join(generation.fingerprint for generation in self.generations)
        return hashlib.sha256((self.repository + text).encode()).hexdigest()[:32]


__all__ = ["KEY", "Generation", "Keyring", "inflate"]
