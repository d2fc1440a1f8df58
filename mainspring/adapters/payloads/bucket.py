"""Large payloads in an S3 bucket, through the driver of Temporal's SDK. Both sides, through the data converter.

The SDK's driver names and checks the objects. Ours are the client under it, which puts a prefix before the names, and
the words of a failure. Keys, region and endpoint are AWS's own configuration (`AWS_PROFILE`, `AWS_ENDPOINT_URL_S3` …).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, cast
from urllib.parse import unquote

from temporalio.api.common.v1 import Payload
from temporalio.contrib.aws.s3driver import S3StorageDriver, S3StorageDriverClient
from temporalio.converter import (
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)

from mainspring.adapters.payloads.failures import damaged, owner
from mainspring.errors import PayloadError, SetupError

_CONNECT, _READ, _ATTEMPTS = 2, 4, 2
"""Seconds, seconds, attempts. An activity's result is stored after its last heartbeat, so this has to be quick."""


class BucketDriver(StorageDriver):
    """Stores payloads in a bucket; opens a connection for each batch, since nobody tells it when to close one."""

    def __init__(self, address: str = "") -> None:
        """Use `s3://BUCKET/PREFIX`; without it the driver reads only: a reference names its bucket."""
        self._address = address
        self._session: Any = None  # kept once made: it has read what S3 can do, which takes longer than a request
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def name(self) -> str:
        """The name in references: the SDK's own, whose drivers can read them too."""
        return "aws.s3driver"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        """Upload each payload, unless it is there; the claim names bucket and object.

        Raises:
            PayloadError: the bucket does not take it.
        """
        try:
            async with self._driver() as driver:
                claims = await driver.store(context, payloads)
        except Exception as error:
            raise PayloadError(
                f"a payload of run {owner(context)[1]!r} cannot be stored in {self._address!r}: {_reason(error)}. "
                "Mend the bucket or its access; it is tried again."
            ) from error
        whole = [{**claim.claim_data, "key": self._prefix + claim.claim_data["key"]} for claim in claims]
        return [StorageDriverClaim(claim_data=data) for data in whole]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        """Download each payload; the SDK's driver checks it against its digest.

        Raises:
            PayloadError: it is damaged, or the bucket does not give it.
        """
        bucket, key = claims[0].claim_data.get("bucket", ""), claims[0].claim_data.get("key", "")
        run = unquote(key.partition("/wi/")[2].partition("/")[0])
        where = f"object {key!r} in bucket {bucket!r}"
        try:
            async with self._driver() as driver:
                return await driver.retrieve(context, claims)
        except ValueError:  # so the SDK's driver says that a digest does not fit
            raise damaged(run, where) from None
        except Exception as error:
            raise PayloadError(
                f"a payload of run {run!r} cannot be read, {where}: {_reason(error)}. "
                "It is tried again; every worker and client needs access to that bucket."
            ) from error

    async def check(self) -> None:
        """Ask for the bucket.

        Raises:
            SetupError: it is not there, or not for these keys, or the package for S3 is not installed.
        """
        try:
            async with self._client() as client:
                await client.head_bucket(Bucket=self._bucket)
        except SetupError:
            raise
        except Exception as error:
            raise SetupError(
                f"the bucket of large payloads, {self._address!r}, cannot be used: {_reason(error)}. Keys, region and "
                "endpoint are AWS's own settings, such as AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL_S3."
            ) from error

    @asynccontextmanager
    async def _driver(self) -> AsyncGenerator[S3StorageDriver]:
        async with self._client() as client:
            yield S3StorageDriver(client=_Objects(client, self._prefix), bucket=self._bucket)

    @asynccontextmanager
    async def _client(self) -> AsyncGenerator[Any]:
        try:
            sessions, configs = (import_module(f"aiobotocore.{name}") for name in ("session", "config"))
        except ImportError as error:
            raise SetupError("large payloads in a bucket need a package. Run: pip install 'mainspring[s3]'") from error
        self._session = self._session or sessions.get_session()
        config: Any = configs.AioConfig(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        )
        async with self._session.create_client("s3", config=config) as client:
            yield client


class _Objects(S3StorageDriverClient):
    """What the SDK's driver asks of a client. It reads under the whole name, which is what references hold."""

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def put_object(self, *, bucket: str, key: str, data: bytes) -> None:
        await self._client.put_object(Bucket=bucket, Key=self._prefix + key, Body=data)

    async def object_exists(self, *, bucket: str, key: str) -> bool:
        try:
            await self._client.head_object(Bucket=bucket, Key=self._prefix + key)
        except Exception as error:
            if _code(error) == "404":
                return False
            raise
        return True

    async def get_object(self, *, bucket: str, key: str) -> bytes:
        answer = await self._client.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            return cast("bytes", await body.read())

    def describe(self) -> Mapping[str, str]:
        return {"region": self._client.meta.region_name or ""}


def _code(error: Exception) -> str:
    response: Any = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def _reason(error: BaseException) -> str:
    """What S3 or its library said: the SDK's driver puts its own words around it."""
    said = error.__cause__ or error
    return str(said).splitlines()[0].rstrip(".") if str(said) else type(said).__name__
