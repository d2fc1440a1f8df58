"""`mainspring setup` and what `doctor` says of it: search attributes that are there, not there, or of another type."""

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, RemoveSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from typer.testing import CliRunner, Result

from mainspring.cli import app
from mainspring.cli.links import lists
from mainspring.cli.setup import _is_local
from mainspring.contracts.names import DECIDERS, DUE, SEARCH_ATTRIBUTES, WAITS_FOR
from mainspring.devserver import DevServer
from mainspring.effects.indexing import registered, usable
from mainspring.testing.bench import Bench

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
WORKER = """
from mainspring import Agent
from mainspring.core.routes import Route
from mainspring.serve import Project

class Desk(Agent):
    def spec(self, *given):
        routes = (Route(id="large", who=("finance & risk", "ada@example.com"), to=("managers",)), Route(id="any"))
        return super().spec(*given).model_copy(update={"routes": routes})

project = Project(Desk("desk", instructions="Work."))
"""


async def typed(*arguments: str) -> Result:
    """Run a command line while workers go on working."""
    line = CliRunner()
    return await asyncio.to_thread(
        line.invoke, app, arguments, env={"COLUMNS": "300", "TERM": "dumb"}, prog_name="mainspring"
    )


@pytest.fixture
async def bare(mainspring: Bench, temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A namespace without search attributes, which the command line is configured for."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "bare")
    request = RegisterNamespaceRequest(namespace="bare")
    request.workflow_execution_retention_period.FromSeconds(86_400)
    await mainspring.client.workflow_service.register_namespace(request)
    client = await Client.connect(temporal_server.address, namespace="bare")
    async with asyncio.timeout(60):
        while not await is_there(client):  # noqa: ASYNC110 - its parts learn of it one after the other
            await asyncio.sleep(0.2)
    return client


async def is_there(client: Client) -> bool:
    """Whether the server knows the namespace by now."""
    try:
        await registered(client)
        [each async for each in client.list_workflows()]
    except Exception:  # noqa: BLE001 - not yet
        return False
    return True


async def add(client: Client, **kinds: IndexedValueType.ValueType) -> None:
    """Register search attributes as somebody else may have."""
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=kinds)
    await client.operator_service.add_search_attributes(request)


async def test_each_is_told_of(bare: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was there is told apart from what is added; one of another type is named, and stops no other."""
    monkeypatch.chdir(tmp_path)
    keyword, text_kind = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, IndexedValueType.INDEXED_VALUE_TYPE_TEXT
    await add(bare, **{WAITS_FOR: keyword, DUE: text_kind})

    before, first = await typed("doctor"), await typed("setup")
    half = await usable(bare)
    request = RemoveSearchAttributesRequest(namespace="bare", search_attributes=[DUE])
    await bare.operator_service.remove_search_attributes(request)
    second, third, after = await typed("setup"), await typed("setup"), await typed("doctor")

    assert "'MainspringDeciders' is not registered; 'mainspring setup' does it. 'MainspringDue' is reg" in before.stdout
    assert "is registered with another type than ours; runs leave it out." in before.stdout
    assert (first.exit_code, first.stdout.splitlines()) == (
        1,
        [
            "The search attribute 'MainspringWaitsFor' (Keyword) is registered in namespace 'bare' already.",
            "Registered the search attribute 'MainspringDeciders' (KeywordList) in namespace 'bare'.",
        ],
    )
    assert "'MainspringDue' is registered in namespace 'bare' with another type than Datetime. Remove" in first.stderr
    assert "Registered the search attribute 'MainspringDue' (Datetime) in namespace 'bare'." in second.stdout
    assert third.stdout.count("is registered in namespace 'bare' already.") == 3
    assert half == {WAITS_FOR, DECIDERS}
    assert await registered(bare) == dict.fromkeys(SEARCH_ATTRIBUTES, True)
    assert "'MainspringWaitsFor', 'MainspringDeciders', 'MainspringDue' are registered" in after.stdout


async def test_links_of_this_machine(
    temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a project the link for a group is a pattern; the Web UI of this machine is where it usually is."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    monkeypatch.chdir(tmp_path)

    said = (await typed("setup")).stdout

    assert len(re.findall(r"http://localhost:8233/namespaces/default/workflows\?query=\S+", said)) == 5
    assert "MainspringDeciders%20%3D%20%27GROUP%27" in said
    assert f"Put the name of a group or role for GROUP: there is no worker.py in {tmp_path}." in said


async def test_links_of_groups(temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """Each group that a route names has a link, at the address that is given; persons have none."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    (project / "worker.py").write_text(WORKER)

    said = (await typed("setup", "--ui", "https://ui.example.com/temporal/")).stdout

    queries = [parse_qs(urlsplit(line.strip()).query)["query"][0] for line in said.splitlines() if "https://" in line]
    assert said.count("https://ui.example.com/temporal/namespaces/default/workflows?query=") == 6
    assert [each.split(" AND ")[0] for each in queries if "Deciders" in each] == [
        "MainspringDeciders = 'finance & risk'",
        "MainspringDeciders = 'managers'",
    ]
    assert "ada@example.com" not in said


async def test_no_address(temporal_server: DevServer) -> None:
    """What is no address of a Web UI is refused before anything is done."""
    result = await typed("setup", "--ui", "ui.example.com")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "'https://temporal.example.com'" in result.stderr


@pytest.mark.parametrize("group", ["finance", "o'hara", "50% & more?", "größe"])
async def test_queries_are_understood(mainspring: Bench, group: str) -> None:
    """The server takes every query that a link has, whatever a group is called."""
    for link in lists([group], "queue", NOON):
        assert await mainspring.client.count_workflows(link.query)
        asked = parse_qs(urlsplit(link.at("http://localhost")).query)["query"]
        assert asked == [link.query]


async def test_a_group_finds_what_waits_for_it(mainspring: Bench) -> None:
    """A link lists what has exactly this group among those who may decide, and nothing of a group that begins so."""
    group = "o'hara & söhne, 50%"
    keys = SearchAttributeKey.for_keyword(WAITS_FOR), SearchAttributeKey.for_keyword_list(DECIDERS)
    pairs = TypedSearchAttributes(
        [SearchAttributePair(keys[0], "approval: pay"), SearchAttributePair(keys[1], ["managers", group])]
    )
    start: Any = mainspring.client.start_workflow
    run = await start("nobody", id="for-a-group", task_queue="nobody-works-here", search_attributes=pairs)

    async def found(name: str) -> list[str]:
        (query,) = [each.query for each in lists([name], "queue", NOON) if DECIDERS in each.query]
        return [each.id async for each in mainspring.client.list_workflows(query)]

    async with asyncio.timeout(20):
        while not await found(group):
            pass
    others = await found("o'hara"), await found("manager"), await found("söhne")
    managers = await found("managers")
    await run.terminate()
    assert (managers, others) == (["for-a-group"], ([], [], []))


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("localhost:7233", True),
        ("127.0.0.1:7233", True),
        ("[::1]:7233", True),
        ("http://localhost:7233", True),
        ("temporal.example.com:7233", False),
        ("10.0.0.7:7233", False),
    ],
)
def test_local_addresses(address: str, local: bool) -> None:
    """Only this machine's own addresses mean that the Web UI is here."""
    assert _is_local(address) == local
