"""The connection to S3-compatible object storage: settings, patience, errors in one line."""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore import exceptions
from obstore.store import S3Store
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore

from nbdask.errors import StoreError
from nbdask.store.patience import pause

if TYPE_CHECKING:
    from obstore.store import S3Config

    _ObjectStore = ObjectStore[S3Store]
else:
    # Not generic in the first versions of zarr that are allowed.
    _ObjectStore = ObjectStore

T = TypeVar("T")

#: How long a request that fails for lack of a connection is repeated [s]: during a run, and at
#: its start, where a wrong endpoint is more likely than an outage.
PATIENCE, FIRST_PATIENCE = 120.0, 4.0
_CODE = re.compile(r"<Code>([^<]+)</Code>(?:.*?<Message>([^<]+)</Message>)?", re.DOTALL)
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"}
#: Settings of the files that AWS's tools keep, and their names here.
_FILED = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}


def open_bucket(bucket: str, prefix: str) -> S3Store:
    """Return the client of a prefix in a bucket.

    Endpoint, region and keys come from the variables ``AWS_*`` (``AWS_ENDPOINT_URL_S3`` or
    ``AWS_ENDPOINT_URL`` for storage other than Amazon's), then from the files ``~/.aws/config``
    and ``~/.aws/credentials`` (``AWS_PROFILE``), then from the machine's role.
    """
    config: S3Config = _from_files()  # type: ignore[assignment]
    for variables, name in (
        (("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "endpoint"),
        (("AWS_REGION", "AWS_DEFAULT_REGION"), "region"),
        (("AWS_ACCESS_KEY_ID",), "access_key_id"),
        (("AWS_SECRET_ACCESS_KEY",), "secret_access_key"),
        (("AWS_SESSION_TOKEN",), "session_token"),
    ):
        value = next((os.environ[v] for v in variables if os.environ.get(v)), None)
        if value is not None:
            config[name] = value  # type: ignore[literal-required]
    config.setdefault("region", "us-east-1")
    plain = config.get("endpoint", "").startswith("http://")
    return S3Store(
        bucket,
        prefix=prefix,
        config=config,
        client_options={"allow_http": plain, "connect_timeout": "5s", "timeout": "300s"},
        # Short, since whatever fails is repeated above it (see ``PATIENCE``).
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )


def _from_files() -> dict[str, str]:
    """Return the settings of a profile in the files of AWS's tools; none where keys are given."""
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    profile = os.environ.get("AWS_PROFILE", "default")
    found: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile),
    ):
        parser = configparser.RawConfigParser()
        with suppress(configparser.Error, OSError, RuntimeError):
            parser.read(os.environ.get(variable) or Path.home() / ".aws" / file)
        if parser.has_section(section):
            found |= {_FILED[k]: v for k, v in parser.items(section) if k in _FILED}
    return found


def explain(error: BaseException, address: str) -> OSError:
    """Return an error of the client as an OSError with one line, what to change in it."""
    text = str(error)
    code, message = ("", "")
    if match := _CODE.search(text):
        code, message = match[1], match[2] or ""
    if code == "NoSuchBucket":
        return FileNotFoundError(f"the bucket of {address} does not exist; create it first")
    denied = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    if code in _DENIED or isinstance(error, denied):
        return PermissionError(
            f"access refused ({' '.join(f'{code} {message}'.split()) or 'no reason given'}): check"
            " AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights on the bucket"
        )
    if code:
        return OSError(f"{code}: {message}")
    first = text.split("Debug source")[0].split("\n")[0].strip()
    return OSError(f"{first}; is AWS_ENDPOINT_URL right, and the storage up?")


def _passing(error: exceptions.BaseError) -> bool:
    """Whether an error may be gone a moment later: no connection, or a server that is not well."""
    if not isinstance(error, exceptions.GenericError):
        return False
    match = _CODE.search(str(error))
    return match is None or match[1] in ("InternalError", "ServiceUnavailable", "SlowDown")


def patiently(action: Callable[[], T], address: str, patience: float = PATIENCE) -> T:
    """Do something with the client, again and again while the connection fails.

    Raises
    ------
    FileNotFoundError
        No such object or bucket.
    OSError
        Any other failure, in one line.
    """
    end, attempt = time.monotonic() + patience, 0
    while True:
        try:
            return action()
        except exceptions.BaseError as error:
            if not _passing(error) or time.monotonic() > end:
                raise explain(error, address) from error
        time.sleep(pause(attempt))
        attempt += 1


class PatientStore(_ObjectStore):
    """zarr's object store that outlasts an outage and puts each object in one request."""

    async def _patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        end, attempt = time.monotonic() + PATIENCE, 0
        while True:
            try:
                return await action()
            except exceptions.BaseError as error:
                if not _passing(error) or time.monotonic() > end:
                    raise explain(error, str(self)) from error
            await asyncio.sleep(pause(attempt))
            attempt += 1

    def __str__(self) -> str:
        """Return the address, without the keys that the client knows."""
        return f"s3://{self.store.config.get('bucket', '')}/{self.store.prefix or ''}"

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object or a part of it; None where there is none."""
        plain = super().get
        return await self._patiently(lambda: plain(key, prototype, byte_range))

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        plain = super().exists
        return await self._patiently(lambda: plain(key))

    async def delete(self, key: str) -> None:
        """Delete an object."""
        plain = super().delete
        return await self._patiently(lambda: plain(key))

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object in one request, so that a killed writer leaves no parts behind."""
        self._check_writable()
        data = value.as_buffer_like()
        await self._patiently(lambda: obstore.put_async(self.store, key, data, use_multipart=False))


def check_bucket(client: S3Store, address: str) -> None:
    """Make sure that the bucket is there and may be listed.

    Raises
    ------
    StoreError
        No connection, no bucket, wrong keys.
    """
    try:
        patiently(lambda: next(iter(obstore.list(client)), None), address, FIRST_PATIENCE)
    except OSError as error:
        raise StoreError(f"--out {address}: {error}") from error
