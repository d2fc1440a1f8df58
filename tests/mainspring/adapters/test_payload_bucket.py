"""Large payloads in an S3 bucket, on a server that speaks S3's protocol: what is kept, refused, and read by runs."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from temporalio.client import Client
from temporalio.converter import DataConverter

from mainspring import Agent, tool
from mainspring.adapters.payloads import check_storage
from mainspring.core.canonical import canonical
from mainspring.devserver import DevServer
from mainspring.errors import PayloadError, SetupError
from mainspring.ports.model import ModelRequest
from mainspring.serve import Project, data_converter, working
from mainspring.settings import Settings
from mainspring.testing import ScriptedModel, call, say
from mainspring.testing.bench import Bench
from mainspring.testing.scripted import Step

ADDRESS = "s3://runs/large"
LARGE = "0123456789" * 30_000


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a server that keeps buckets in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `runs`, as AWS's own settings point to it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # what boto3 itself reads
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    made = boto3.resource("s3").create_bucket(Bucket="runs")
    yield made
    made.objects.delete()
    made.delete()


def converter(folder: Path, payloads: str = ADDRESS) -> DataConverter:
    """The engine's converter with its storage in the bucket."""
    return data_converter(Settings(state=folder, payloads=payloads))


def keys(bucket: Any) -> list[str]:
    """The names of all objects in the bucket."""
    return [each.key for each in bucket.objects.all()]


async def test_a_payload_goes_to_the_bucket_and_comes_back(bucket: Any, tmp_path: Path):
    """A large payload is an object below the prefix; history holds a short reference, and the folder nothing."""
    small, large = await converter(tmp_path).encode(["small", LARGE])

    (key,) = keys(bucket)
    assert key.startswith("large/v0/")
    assert small.metadata["encoding"] == b"json/plain"
    assert large.ByteSize() < 500
    assert await converter(tmp_path).decode([small, large]) == ["small", LARGE]
    assert not Settings(state=tmp_path).payload_folder.exists()


async def test_the_same_payload_is_kept_once(bucket: Any, tmp_path: Path):
    """A repeated attempt finds its object and writes no other one."""
    for _ in range(2):
        await converter(tmp_path, "s3://runs").encode([LARGE])

    assert len(keys(bucket)) == 1


@pytest.mark.parametrize("payloads", ["", "none"])
async def test_a_bucket_is_read_whatever_the_setting(bucket: Any, tmp_path: Path, payloads: str):
    """What is in a bucket is read by whoever is set to a folder or to nothing, and the other way round."""
    in_bucket = await converter(tmp_path).encode([LARGE])
    in_folder = await converter(tmp_path, "").encode([LARGE])

    assert await converter(tmp_path, payloads).decode(in_bucket) == [LARGE]
    assert await converter(tmp_path).decode(in_folder) == [LARGE]
    assert len(keys(bucket)) == 1


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            lambda thing: thing.put(Body=b"rubbish"),
            r"is damaged: object 'large/v0/.*' in bucket 'runs' is not what was",
        ),
        (lambda thing: thing.delete(), r"cannot be read, object 'large/v0/.*' in bucket 'runs': .*NoSuchKey"),
    ],
)
async def test_what_is_not_there_as_stored_is_refused(
    bucket: Any, tmp_path: Path, damage: Callable[[Any], object], why: str
):
    """An object that was changed or removed is named, with its bucket."""
    payloads = await converter(tmp_path).encode([LARGE])
    damage(bucket.Object(keys(bucket)[0]))

    with pytest.raises(PayloadError, match=why):
        await converter(tmp_path).decode(payloads)


async def test_a_bucket_that_is_not_there(bucket: Any, tmp_path: Path):
    """The check at the start, and storing, name the address and what S3 said; the check, where it is set as well."""
    with pytest.raises(SetupError, match=r"'s3://other', cannot be used: .*404.*AWS_ENDPOINT_URL_S3"):
        await check_storage("s3://other", tmp_path)
    with pytest.raises(PayloadError, match=r"cannot be stored in 's3://other': .*NoSuchBucket"):
        await converter(tmp_path, "s3://other").encode([LARGE])
    await check_storage(ADDRESS, tmp_path)


async def test_nobody_answers(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An endpoint where nobody listens is an error in words."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")

    with pytest.raises(PayloadError, match=r"cannot be stored in 's3://runs/large': Could not connect to the endpoint"):
        await converter(tmp_path).encode([LARGE])


async def test_without_the_package(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without the package that S3 needs, the check says what to install; a client that needs no bucket goes on."""
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)

    with pytest.raises(SetupError, match=r"pip install 'mainspring\[s3\]'"):
        await check_storage(ADDRESS, tmp_path)
    assert await converter(tmp_path).decode(await converter(tmp_path).encode(["small"])) == ["small"]


@tool(effect="read", returns="trusted")
def report() -> str:
    """Give the whole report."""
    return LARGE


def reads_it_whole(request: ModelRequest) -> Step:
    """Say whether the model was given the report from its first letter to its last."""
    return say("whole" if request.messages[-1].text == canonical(LARGE) else request.messages[-1].text[:200])


async def test_a_run_keeps_its_payload_in_the_bucket(bucket: Any, temporal_server: DevServer, tmp_path: Path):
    """A tool's 300 KB go to the bucket under the run's name, and the model reads them whole."""
    settings = Settings(state=tmp_path, model="test:model", payloads=ADDRESS, task_queue="bucket")
    client = await Client.connect(temporal_server.address, data_converter=data_converter(settings))
    reader: Agent[str] = Agent("reader", instructions="Read.", tools=[report], context=1_000_000)
    project = Project(reader, models={"test:model": ScriptedModel(call("report"), reads_it_whole)})

    async with working(project, client, settings):
        run = await Bench(client, tmp_path).submit("reader", "Go.", settings.task_queue)
        assert (await run.result()).answer == "whole"

    assert {key.split("/wi/")[1].split("/")[0] for key in keys(bucket)} == {run.handle.id}
    assert sum(event.ByteSize() for event in (await run.history()).events) < len(LARGE) / 4
