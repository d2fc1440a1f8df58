"""`mainspring doctor`: what is configured, what is reachable, what is missing, what to do. The edge.

Each check is a function that gives a `Finding`; none of them stops the others.
"""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import typer

from mainspring.contracts.names import SEARCH_ATTRIBUTES
from mainspring.errors import MainspringError, PolicyError

if TYPE_CHECKING:
    from temporalio.client import Client

    from mainspring.serve import Project
    from mainspring.settings import Settings

PATIENCE = timedelta(seconds=5)
"""How long a server may take to answer one question."""


@dataclass(frozen=True)
class Finding:
    """One line of the table. `missing` makes the doctor fail; `without` is something runs go on without."""

    what: str
    state: Literal["ok", "missing", "without"]
    said: str


def doctor() -> None:
    """Check what is configured, reachable and missing, and say what to do."""
    from rich.console import Console
    from rich.table import Table

    from mainspring.cli import interrupt

    table = Table("", "", "", box=None, show_header=False, pad_edge=False)
    findings = interrupt.run(_examine())
    marks = {"ok": "[green]ok[/]", "missing": "[red]missing[/]", "without": "[yellow]without[/]"}
    for finding in findings:
        table.add_row(marks[finding.state], finding.what, finding.said)
    Console(highlight=False, soft_wrap=False).print(table)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    from mainspring.settings import read_settings

    try:
        settings = read_settings()
    except MainspringError as error:
        return [Finding("settings", "missing", str(error))]
    findings = [_state(settings), await _payloads(settings), *_project(settings), _binary()]
    findings += await _server(settings)
    findings.append(await asyncio.to_thread(_collector, settings))
    return findings


def _state(settings: "Settings") -> Finding:
    folder = str(settings.state)
    try:
        settings.state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.state):
            return Finding("state folder", "ok", f"{folder!r} can be written")
    except OSError as error:
        fix = "Set MAINSPRING_STATE to a folder that you may write to."
        return Finding("state folder", "missing", f"{folder!r} cannot be written: {error.strerror}. {fix}")


async def _payloads(settings: "Settings") -> Finding:
    from mainspring.adapters.payloads import check_storage

    what = "large payloads"
    try:
        await check_storage(settings.payload_address, settings.payload_folder)
    except MainspringError as error:
        return Finding(what, "missing", str(error))
    if settings.payloads == "none":
        return Finding(what, "ok", "are not stored outside the history: items over 128 KiB are refused")
    return Finding(what, "ok", f"go to {settings.payload_address or str(settings.payload_folder)!r}")


def _project(settings: "Settings") -> list[Finding]:
    from mainspring.serve import load_project

    try:
        project = load_project(Path.cwd())
    except PolicyError as error:
        return [Finding("rules", "missing", str(error))]
    except MainspringError as error:
        return [Finding("project", "missing", str(error))]
    counts = (("agent", project.agents), ("graph", project.graphs), ("tool", project.tools))
    said = ", ".join(f"{len(named)} {what}{'' if len(named) == 1 else 's'}" for what, named in counts)
    return [Finding("project", "ok", said), _rules(project, settings), *_models(project, settings)]


def _rules(project: "Project", settings: "Settings") -> Finding:
    from mainspring.serve import check_rules

    try:
        check_rules(project, settings)
    except MainspringError as error:
        return Finding("rules", "missing", str(error))
    texts = {text.source for spec in project.specs() for text in spec.rule_texts if text.role != "base"}
    files = texts | {spec.playbook_source for spec in project.specs() if spec.playbook_source}
    return Finding("rules", "ok", ", ".join(sorted(files)) or "no rule file; calls that cannot be undone ask a person")


def _models(project: "Project", settings: "Settings") -> list[Finding]:
    named = {model for agent in project.agents.values() for model in agent.spec(settings.model).models}
    return [_model(project, settings, name) for name in sorted(named)]


def _model(project: "Project", settings: "Settings", name: str) -> Finding:
    from mainspring.adapters.chat_model import open_model

    what = f"model {name}"
    if name == "playbook":
        specs = [agent.spec(settings.model) for agent in project.agents.values()]
        without = [spec.name for spec in specs if name in spec.models and not spec.playbook]
        if without:
            missing = ", ".join(map(repr, without))
            return Finding(what, "missing", f"{missing} has no playbook to follow. Write one, or name another model.")
        return Finding(what, "ok", "follows the playbooks; needs no key")
    if name in project.models:
        return Finding(what, "ok", "given by the project")
    try:
        open_model(name, PATIENCE.total_seconds())
    except MainspringError as error:
        return Finding(what, "missing", str(error))
    return Finding(what, "ok", "can be opened; it was not called, so the key was not tried")


def _binary() -> Finding:
    from mainspring.devserver import temporal_binary

    try:
        binary = temporal_binary()
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - no shell
    except MainspringError as error:
        return Finding("temporal command", "without", f"{error} Only 'demo' and 'dev' need it.")
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("temporal command", "without", f"it does not run: {error}. Only 'demo' and 'dev' need it.")
    return Finding("temporal command", "ok", f"{done.stdout.strip()}, {binary}")


async def _server(settings: "Settings") -> list[Finding]:
    from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
    from temporalio.service import RPCError

    from mainspring.serve import connect

    try:
        client = await connect(settings)
    except MainspringError as error:
        return [Finding("server", "missing", f"{error}")]
    findings = [Finding("server", "ok", client.service_client.config.target_host)]
    try:
        request = DescribeNamespaceRequest(namespace=client.namespace)
        await client.workflow_service.describe_namespace(request, timeout=PATIENCE)
    except RPCError as error:
        said = f"{client.namespace!r}: {error.message}. Set TEMPORAL_NAMESPACE to one that exists."
        return [*findings, Finding("namespace", "missing", said)]
    findings.append(Finding("namespace", "ok", repr(client.namespace)))
    return [*findings, await _search_attributes(client), await _workers(client, settings)]


async def _search_attributes(client: "Client") -> Finding:
    from temporalio.service import RPCError

    from mainspring.effects.indexing import registered

    what = "search attributes"
    try:
        there = await registered(client, PATIENCE)
    except RPCError as error:
        return Finding(what, "without", f"the server does not say which are registered: {error.message}")
    missing = [name for name in SEARCH_ATTRIBUTES if name not in there]
    other = [name for name, fits in there.items() if not fits]
    said = f"{_listed(missing)} not registered; 'mainspring setup' does it." if missing else ""
    said += " " if missing and other else ""
    said += f"{_listed(other)} registered with another type than ours; runs leave it out." if other else ""
    if said:
        return Finding(what, "without", said)
    return Finding(what, "ok", f"{_listed(SEARCH_ATTRIBUTES)} registered")


def _listed(names: Iterable[str]) -> str:
    quoted = [repr(name) for name in names]
    return f"{', '.join(quoted)} {'is' if len(quoted) == 1 else 'are'}"


async def _workers(client: "Client", settings: "Settings") -> Finding:
    from temporalio.api.enums.v1 import TaskQueueType
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
    from temporalio.service import RPCError

    queue = settings.task_queue
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        pollers = (await client.workflow_service.describe_task_queue(request, timeout=PATIENCE)).pollers
    except RPCError as error:
        return Finding("worker", "missing", f"the server does not say who works on {queue!r}: {error.message}")
    if not pollers:
        return Finding("worker", "missing", f"nobody works on task queue {queue!r}. Start one: mainspring worker")
    return Finding("worker", "ok", f"{len(pollers)} on task queue {queue!r}")


def _collector(settings: "Settings") -> Finding:
    endpoint = settings.otlp_endpoint
    if not endpoint:
        said = f"no collector is set, spans go to {str(settings.trace_file)!r}"
        return Finding("traces", "ok", f"{said}. OTEL_EXPORTER_OTLP_ENDPOINT sets one.")
    parts = urlsplit(endpoint)
    endpoint = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()  # without user and password
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=PATIENCE.total_seconds()).close()
    except OSError as error:
        said = f"nothing answers at {endpoint!r} ({error}). Start the collector, or correct the variable."
        return Finding("traces", "missing", said)
    return Finding("traces", "ok", f"{endpoint!r} answers; spans go there and to {str(settings.trace_file)!r}")
