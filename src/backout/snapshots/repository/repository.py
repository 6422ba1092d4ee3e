# SPDX-License-Identifier: Apache-2.0
"""The repository of snapshots: the one class that the rest of Backout knows of docs/snapshot-format.md."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import msgspec

from backout.errors import NotFoundError, RefusedError, RepositoryDamaged, RepositoryNotFound, UsageError
from backout.model.scope import ClusterIdentity
from backout.model.snapshot import Entry, Snapshot
from backout.snapshots.repository.backend import Backend, Exists, Missing
from backout.snapshots.repository.format import (
    CONFIG,
    CONTENTS_AT_ONCE,
    FORMAT,
    KEYS,
    MAX_CONFIG,
    MAX_KEYS,
    PACKS,
    SNAPSHOTS,
    VERSION,
    Config,
    Kind,
    damaged,
    read_config,
)
from backout.snapshots.repository.keys import Identity, KeyFile, Recipient, first_keys, parse_recipient, unwrap, wrap
from backout.snapshots.repository.locks import Lock, locked
from backout.snapshots.repository.manifests import Manifests, chosen, selected
from backout.snapshots.repository.objects import Index, Reader, Writer
from backout.snapshots.repository.saving import SnapshotWriter


class Repository:
    """An opened repository. Use `open` or `create`; `close` when done."""

    def __init__(self, backend: Backend, config: Config, keys: KeyFile, identities: Sequence[Identity]) -> None:
        self.backend = backend
        self.config = config
        self._identities = list(identities)
        self._use(keys)

    def _use(self, keys: KeyFile) -> None:
        self._keys = keys
        self.keyring = keys.keyring()
        self.index = Index(self.backend, self.keyring)
        self.reader = Reader(self.backend, self.keyring, self.index)
        self.manifests = Manifests(self.backend, self.keyring, self.reader)

    @property
    def id(self) -> str:
        """The repository's id."""
        return self.config.id

    @property
    def keys(self) -> KeyFile:
        """The keys and recipients. Secret: only for `keys` and `pins`."""
        return self._keys

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Who can open it."""
        return self._keys.recipients

    # ---- opening

    @classmethod
    async def open(cls, backend: Backend, identities: Sequence[Identity], *, identity: str = "the key") -> Repository:
        """Opens what is there. ``identity`` is what to call the key in errors.

        Raises:
            RepositoryNotFound: nothing is there.
            WrongKey: the key is none of its recipients.
            FormatUnknown: of another version.
            RepositoryDamaged: its config or keys are damaged.
            StorageError: it can't be read.
        """
        try:
            config = read_config(await backend.get(CONFIG, MAX_CONFIG), backend.where)
        except Missing:
            if any(item.name.startswith((PACKS, SNAPSHOTS)) for item in await backend.listing("")):
                raise damaged(f"config of {backend.where}", "it is missing") from None
            raise RepositoryNotFound(
                "There is no snapshot repository in {where}.",
                where=backend.where,
                hint="backout snapshot create makes one; or set snapshots.repository",
            ) from None
        return cls(backend, config, await _read_keys(backend, config, identities, identity), identities)

    @classmethod
    async def create(
        cls,
        backend: Backend,
        identities: Sequence[Identity],
        recipients: Sequence[Recipient],
        *,
        identity: str = "the key",
    ) -> Repository:
        """Makes a new, empty repository for the recipients.

        Raises:
            RefusedError: a repository, or anything else, is there already; or the key is none of the recipients.
            StorageError: it can't be written.
        """
        there = await backend.listing("")
        if there and {item.name for item in there} == {_keys_name(1)}:
            # A process died while it made a repository here; without config, nothing was ever encrypted with these.
            await backend.delete(_keys_name(1))
        elif there:
            raise RefusedError(
                "{where} is not empty, so no repository is made in it.",
                where=backend.where,
                hint="set snapshots.repository to an empty place",
            )
        config = Config(format=FORMAT, version=VERSION, id=secrets.token_hex(16), created=datetime.now(UTC))
        keys = first_keys(config.id, list(recipients))
        wrapped = wrap(keys)
        unwrap(wrapped, list(identities), name="keys", where=backend.where, identity=identity)
        try:
            await backend.put(_keys_name(1), wrapped, create=True)
            await backend.put(CONFIG, msgspec.json.encode(config), create=True)
        except Exists as error:
            raise RefusedError(
                "Another process made a repository in {where} at the same time.",
                where=backend.where,
                hint="run it again",
            ) from error
        # Read back: where a server overwrites what it should only create, the other process may have won.
        return await cls.open(backend, identities, identity=identity)

    async def close(self) -> None:
        """Lets go of connections."""
        await self.backend.close()

    # ---- locks and writing

    def shared_lock(self, operation: str) -> AbstractAsyncContextManager[Lock]:
        """Keeps `prune` and changes of keys away while the block runs; others may read and write."""
        return locked(self.backend, self.keyring, operation, exclusive=False)

    def exclusive_lock(self, operation: str) -> AbstractAsyncContextManager[Lock]:
        """Keeps everybody else away while the block runs."""
        return locked(self.backend, self.keyring, operation, exclusive=True)

    @asynccontextmanager
    async def writer(self, operation: str = "snapshot") -> AsyncIterator[SnapshotWriter]:
        """Takes snapshots; what was put without `SnapshotWriter.save` is removed by the next `prune`.

        Raises:
            RepositoryLocked: somebody prunes, or changes keys.
        """
        async with self.shared_lock(operation) as lock:
            # Only now: what was pruned before the lock was there must not count as stored.
            await self.index.load(again=True)
            writer = Writer(self.backend, self.keyring.current, self.index, lock.check)
            try:
                yield SnapshotWriter(lock, writer, self.manifests, self.index)
            finally:
                await writer.abandon()

    # ---- reading

    async def snapshots(self, identity: ClusterIdentity | None = None, namespace: str | None = None) -> list[Snapshot]:
        """The summaries, newest first. Those that can't be read are in `unreadable`."""
        return selected(await self.manifests.all(), identity, namespace)

    @property
    def unreadable(self) -> dict[str, RepositoryDamaged]:
        """Ids of summaries that the last listing could not read, and why."""
        return self.manifests.unreadable

    async def load(
        self,
        name: str,
        identity: ClusterIdentity | None = None,
        namespace: str | None = None,
        cluster: str | None = None,
    ) -> Snapshot:
        """The snapshot of an id, the start of one, a tag, ``latest`` or ``good`` (`manifests.chosen`).

        Raises:
            SnapshotNotFound: none.
            UsageError: several ids start like that.
            RepositoryDamaged: its summary is damaged.
        """
        snapshots = await self.manifests.all()
        try:
            return chosen(snapshots, name, self.backend.where, identity=identity, namespace=namespace, cluster=cluster)
        except NotFoundError:
            for id_, error in self.unreadable.items():
                if len(name) >= 4 and id_.startswith(name):
                    raise error from None
            raise

    def entries(self, snapshot: Snapshot) -> AsyncIterator[Entry]:
        """What a snapshot holds, page by page.

        Raises:
            RepositoryDamaged: a page is missing or altered.
        """
        return self.manifests.entries(snapshot)

    async def get(self, address: str, label: str = "") -> bytes:
        """The content of an address; ``label`` is what to call it in an error.

        Raises:
            RepositoryDamaged: missing or altered.
        """
        return await self.reader.get(Kind.OBJECT, bytes.fromhex(address), label)

    async def get_many(self, entries: Sequence[Entry]) -> list[bytes]:
        """The contents of several entries, with few requests.

        Raises:
            RepositoryDamaged: one is missing or altered; it is named.
        """
        addresses = [bytes.fromhex(entry.address) for entry in entries]
        return await self.reader.get_many(Kind.OBJECT, addresses, [str(entry.ref) for entry in entries])

    async def contents(
        self, snapshot: Snapshot, wanted: Callable[[Entry], bool] | None = None, *, at_once: int = CONTENTS_AT_ONCE
    ) -> AsyncIterator[tuple[Entry, bytes]]:
        """Entries with their contents, read up to ``at_once`` at a time.

        Raises:
            RepositoryDamaged: one is missing or altered; it is named.
        """
        some: list[Entry] = []
        size = 0
        async for entry in self.entries(snapshot):
            if wanted is not None and not wanted(entry):
                continue
            some.append(entry)
            size += entry.size
            if len(some) >= at_once or size > 4 * 1024 * 1024:
                for pair in zip(some, await self.get_many(some), strict=True):
                    yield pair
                some, size = [], 0
        for pair in zip(some, await self.get_many(some), strict=True):
            yield pair

    def address(self, content: bytes) -> str:
        """The address that a content has, or would have, under the current key."""
        return self.keyring.current.address(Kind.OBJECT, content).hex()

    def digest(self, content: bytes) -> str:
        """Twelve hex digits that show whether two secret values differ, and nothing else without the key."""
        return self.keyring.current.digest(content)

    # ---- keys

    async def add_recipient(self, recipient: str, name: str = "") -> None:
        """Lets one more identity open everything, old and new.

        Raises:
            UsageError: no recipient, or it is one already.
        """
        parse_recipient(recipient)
        async with self.exclusive_lock("key add"):
            keys = await self._latest_keys()
            if any(item.recipient == recipient for item in keys.recipients):
                raise UsageError("{recipient} is a recipient already.", recipient=recipient)
            new = Recipient(recipient=recipient, name=name, added=datetime.now(UTC))
            await self._write_keys(
                msgspec.structs.replace(keys, serial=keys.serial + 1, recipients=(*keys.recipients, new))
            )

    async def remove_recipient(self, recipient: str) -> Recipient:
        """Takes the key from an identity (named by its recipient, or its name) for all that is written from now on.

        Raises:
            UsageError: no such recipient, or several of that name.
            RefusedError: it is the last one, or this process's own.
        """
        async with self.exclusive_lock("key remove"):
            keys = await self._latest_keys()
            found = [item for item in keys.recipients if recipient in (item.recipient, item.name)]
            if len(found) != 1:
                raise UsageError(
                    "{recipient} is not one recipient of {where}.",
                    recipient=recipient,
                    where=self.backend.where,
                    expected="one of those that backout snapshot key show lists",
                )
            rest = tuple(item for item in keys.recipients if item is not found[0])
            if not rest:
                raise RefusedError("That is the last recipient; without one nobody could open the snapshots.")
            await self._write_keys(msgspec.structs.replace(keys.with_new_generation(), recipients=rest))
            return found[0]

    async def rotate(self) -> None:
        """Starts a new generation of the repository's key."""
        async with self.exclusive_lock("key rotate"):
            await self._write_keys((await self._latest_keys()).with_new_generation())

    async def replace_recipients(self, old: Sequence[str], new: str) -> None:
        """Puts one recipient in place of others, and starts a new generation.

        Raises:
            UsageError: ``new`` is no recipient.
            RefusedError: this process's own key would not open the repository any more.
        """
        parse_recipient(new)
        async with self.exclusive_lock("key rotate"):
            keys = (await self._latest_keys()).with_new_generation()
            name = next((item.name for item in keys.recipients if item.recipient in old), "")
            rest = tuple(item for item in keys.recipients if item.recipient not in old)
            first = Recipient(recipient=new, name=name, added=datetime.now(UTC))
            await self._write_keys(msgspec.structs.replace(keys, recipients=(first, *rest)))

    async def _latest_keys(self) -> KeyFile:
        return await _read_keys(self.backend, self.config, self._identities, "the key")

    async def _write_keys(self, keys: KeyFile) -> None:
        wrapped = wrap(keys)
        try:
            unwrap(wrapped, self._identities, name="keys", where=self.backend.where, identity="the key")
        except RefusedError as error:
            raise RefusedError(
                "After that, your own key would not open the snapshots in {where} any more.",
                where=self.backend.where,
                hint="let another recipient do it",
            ) from error
        await self.backend.put(_keys_name(keys.serial), wrapped, create=True)
        for item in await self.backend.listing(KEYS):
            if item.name < _keys_name(keys.serial):
                await self.backend.delete(item.name)
        self._use(keys)


async def _read_keys(backend: Backend, config: Config, identities: Sequence[Identity], identity: str) -> KeyFile:
    for _ in range(3):
        names = sorted(item.name for item in await backend.listing(KEYS) if item.name[len(KEYS) :].isdecimal())
        if not names:
            raise damaged(f"{KEYS} of {backend.where}", "the keys are missing")
        try:
            content = await backend.get(names[-1], MAX_KEYS)
            break
        except Missing:
            # A rotation put newer ones in place and took these away, between the listing and now.
            await asyncio.sleep(0)
    else:
        raise damaged(names[-1], "it is missing")
    keys = unwrap(content, list(identities), name=names[-1], where=backend.where, identity=identity)
    if keys.repository != config.id or _keys_name(keys.serial) != names[-1]:
        raise damaged(names[-1], "it belongs to another repository, or to another time")
    return keys


def _keys_name(serial: int) -> str:
    return f"{KEYS}{serial:08d}"
