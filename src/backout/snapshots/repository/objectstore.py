# SPDX-License-Identifier: Apache-2.0
"""A repository in an object store by obstore: S3, and memory for tests."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backout.effects import passing
from backout.errors import ConfigError, StorageError, StorageUnreachable
from backout.model.settings import SnapshotSettings
from backout.snapshots.repository.backend import Exists, Missing, Stored

if TYPE_CHECKING:
    from obstore.store import ObjectStore

LONGEST_PAGE = 120.0
"""Seconds for one page of a listing, however often the storage is asked for it: pages may be empty and never end."""
_STATUS = re.compile(r"status code: (\d{3})(?: ([A-Za-z ]{1,40}))?")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")


class Objects:
    """Files in an object store."""

    shared = True

    def __init__(self, store: ObjectStore, where: str) -> None:
        self._store = store
        self.where = where
        self._ranges = True

    async def get(self, name: str, limit: int) -> bytes:
        import obstore

        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > limit:
                raise StorageError(
                    "{name} in {where} is larger than any such file may be.", name=name, where=self.where
                )
            return bytes(await found.bytes_async())
        except StorageError:
            raise
        except Exception as error:
            raise self._told(name, error) from error

    async def get_range(self, name: str, start: int, length: int) -> bytes:
        import obstore

        if length <= 0:
            return b""
        if self._ranges:
            try:
                return bytes(await obstore.get_range_async(self._store, name, start=start, length=length))
            except Exception as error:
                if "NotPartial" not in str(error):
                    raise self._told(name, error) from error
            # Some servers answer a range with the whole file, which obstore refuses.
            self._ranges = False
        from backout.snapshots.repository.format import MAX_PACK

        return (await self.get(name, MAX_PACK))[start : start + length]

    async def put(self, name: str, content: bytes, *, create: bool = False) -> None:
        import obstore

        try:
            with passing("storage", f"put {name}"):
                await obstore.put_async(
                    self._store, name, content, mode="create" if create else "overwrite", use_multipart=False
                )
        except Exception as error:
            raise self._told(name, error) from error

    async def listing(self, prefix: str) -> list[Stored]:
        import obstore

        found: dict[str, Stored] = {}
        try:
            pages = aiter(obstore.list(self._store, prefix=prefix.rstrip("/") or None))
            while True:
                try:
                    page = await asyncio.wait_for(anext(pages), LONGEST_PAGE)
                except StopAsyncIteration:
                    break
                before = len(found)
                for meta in page:
                    name = str(meta["path"])
                    found[name] = Stored(name, int(meta["size"]), meta["last_modified"].timestamp())
                if len(found) == before and page:
                    raise self._no_end()
        except TimeoutError:
            raise self._no_end() from None
        except StorageError:
            raise
        except Exception as error:
            told = self._told(prefix or "the listing", error)
            if isinstance(told, Missing):
                told = StorageError("The bucket of {where} does not exist.", where=self.where)
            raise told from error
        return list(found.values())

    def _no_end(self) -> StorageError:
        return StorageError(
            "The listing of {where} does not come to an end: it begins again and again.",
            where=self.where,
            hint="The storage, or a proxy before it, does not page as S3 does; completed snapshots are not harmed.",
        )

    async def delete(self, name: str) -> None:
        import obstore

        try:
            with passing("storage", f"delete {name}"):
                await obstore.delete_async(self._store, name)
        except Exception as error:
            told = self._told(name, error)
            if not isinstance(told, Missing):
                raise told from error

    async def tidy(self) -> int:
        return 0

    async def close(self) -> None:
        return None

    def _told(self, name: str, error: Exception) -> Exception:
        """Our own error for one of obstore's, whose texts are long and change; only status and code are taken over."""
        from obstore import exceptions

        text = str(error)
        status, code = _STATUS.search(text), _CODE.search(text)
        said = " ".join(filter(None, (status and status[1], code and code[1]))) or ""
        if code and code[1] == "NoSuchBucket":
            return StorageError("The bucket of {where} does not exist.", where=self.where)
        if isinstance(error, FileNotFoundError):
            return Missing(name)
        if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
            return Exists(name)
        if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)):
            return StorageError(
                "{where} does not allow access to {name} ({answer}).",
                name=name,
                where=self.where,
                answer=said or "access denied",
                hint="check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the machine's role)",
            )
        if "NoCredentials" in text or "credential" in text.lower():
            return StorageError(
                "There are no credentials for {where}.",
                where=self.where,
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
            )
        if status and status[1].startswith("4") and status[1] not in ("408", "425", "429"):
            return StorageError("{where} refused {name}: {answer}.", name=name, where=self.where, answer=said)
        return StorageUnreachable(
            "{where} did not answer for {name}: {answer}.",
            name=name,
            where=self.where,
            answer=said or "no connection, or it was lost",
            hint="completed snapshots are not harmed; try again, or check the endpoint",
        )


def memory() -> Objects:
    """A repository in this process's memory, for tests."""
    from obstore.store import MemoryStore

    return Objects(MemoryStore(), "memory")


def s3(url: str, settings: SnapshotSettings, *, retries: int = 0) -> Objects:
    """A repository below ``s3://BUCKET/PREFIX``. Credentials come from the environment, the shared credentials file, or
    the machine's role; never from the URL or the configuration.

    Raises:
        ConfigError: the URL or the endpoint is malformed.
    """
    from obstore.store import S3Store

    bucket, prefix = check_s3(url, settings)
    options: dict[str, Any] = {}
    if settings.endpoint:
        options["endpoint"] = settings.endpoint
    if settings.region or settings.endpoint:
        options["region"] = settings.region or "us-east-1"
    if (credentials := _shared_credentials()) is not None:
        options |= credentials
    return Objects(
        S3Store(
            bucket,
            prefix=prefix or None,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": settings.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=settings.timeout),
                "user_agent": "backout",
            },
            # One layer of trying again is enough: retry.py.
            retry_config={"max_retries": retries},
            **options,
        ),
        url,
    )


def check_s3(url: str, settings: SnapshotSettings) -> tuple[str, str]:
    """Bucket and prefix of an URL.

    Raises:
        ConfigError: malformed, or with a password in it; said without repeating it.
    """
    try:
        parts = urlsplit(url)
        endpoint = urlsplit(settings.endpoint)
        secret = "@" in parts.netloc or "@" in endpoint.netloc
        # obstore aborts on an endpoint that is no URL, so it is read here first.
        usable = not settings.endpoint or (
            endpoint.scheme in ("http", "https") and endpoint.hostname and endpoint.port != 0
        )
    except ValueError:
        parts, secret, usable = urlsplit("s3:"), False, False
    if secret:
        raise ConfigError(
            "An URL of the snapshot repository holds a user or password.",
            hint="take it out, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if not usable:
        raise ConfigError("snapshots.endpoint is no URL.", expected="https://HOST or https://HOST:PORT")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,62}", parts.netloc) or parts.query or parts.fragment:
        raise ConfigError("{url} is no place for snapshots.", url=url, expected="s3://BUCKET/PREFIX")
    return parts.netloc, parts.path.strip("/")


def _shared_credentials() -> dict[str, str] | None:
    """Keys of ``~/.aws/credentials``, which obstore does not read; None when the environment has keys of its own."""
    import configparser
    import os
    from pathlib import Path

    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    profile = os.environ.get("AWS_PROFILE", "default")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        section = parser[profile]
        found = {"access_key_id": section["aws_access_key_id"], "secret_access_key": section["aws_secret_access_key"]}
    except (OSError, KeyError, configparser.Error, UnicodeDecodeError):
        return None
    if token := section.get("aws_session_token"):
        found["session_token"] = token
    return found
