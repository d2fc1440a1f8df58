"""Assembly: joins the application to the engine, checks it, connects, and runs the worker."""

import asyncio
import dataclasses
import gc
import importlib
import logging
import os
import pkgutil
import signal
import sys
import warnings
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, pydantic_data_converter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    DefaultPayloadConverter,
    PayloadConverter,
)
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring.approving import open_approving
from mainspring.contracts import names
from mainspring.contracts.steps import Chunk, Compaction, Sealed
from mainspring.core.canonical import Record
from mainspring.core.facts import Facts
from mainspring.core.policy import Rule
from mainspring.core.routes import People
from mainspring.core.rule_file import assemble, check_kinds
from mainspring.core.rule_review import check_reach
from mainspring.core.spec import AgentSpec
from mainspring.core.tool import Tool
from mainspring.definitions import Agent, Graph, ask_human, remember
from mainspring.durable.graph import GRAPHS
from mainspring.durable.run import AnyRun
from mainspring.effects.activities import Activities
from mainspring.effects.gauge import Gauge
from mainspring.effects.guards import Guards
from mainspring.effects.world import ITEM_LIMIT, World
from mainspring.errors import DefinitionError, SetupError, UsageError
from mainspring.ports.memory import Memory
from mainspring.ports.model import Model
from mainspring.ports.recogniser import Recogniser
from mainspring.settings import Settings, read_settings
from mainspring.telemetry.export import Exporter

_STICKY = timedelta(seconds=2)
"""How long a task waits for the worker that holds a run in memory: a lost worker delays runs by this."""
_DEADLOCK = 8.0
"""Seconds after which a workflow task counts as deadlocked: before the server takes it away, after ten. Nothing here
blocks, so where the SDK's two seconds pass, the machine has no time to give. A task that the SDK interrupts cannot
always be evicted: its run stays where it is, and the worker never ends."""
_THROTTLE = timedelta(seconds=1)
"""How soon a heartbeat is passed on: sooner than the engine beats. A beat brings the cancellation to a tool."""


class Project:
    """The application handed to the engine: packages (every `Agent`, `Graph` and tool in them) or definitions.

    `models` adds models by name (`Agent(model=…)` or the worker's setting may name them), `memory`
    replaces the SQLite file.

    Raises:
        DefinitionError: two definitions of one name, or a package that is not the application's own.
        UsageError: whatever a module raises when it is imported.
    """

    def __init__(
        self,
        *parts: ModuleType | Agent[Any] | Graph | Tool,
        models: Mapping[str, Model] | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Import every module of the packages and collect what they define."""
        self.agents: dict[str, Agent[Any]] = {}
        self.graphs: dict[str, Graph] = {}
        self.tools: dict[str, Tool] = {remember.name: remember, ask_human.name: ask_human}
        self.checks: dict[str, Callable[[Facts], Any]] = {}
        self.models = dict(models or {})
        self.memory = memory
        for part in parts:
            if isinstance(part, ModuleType):
                _check_origin(part)
                for module in _modules(part):
                    for value in vars(module).values():
                        self._take(value)
            else:
                self._take(part)

    def specs(self) -> list[AgentSpec]:
        """Every agent and graph, and once more with the rules of each tenant that has its own."""
        agents = [agent.spec("", tenant) for agent in self.agents.values() for tenant in ("", *agent.tenants())]
        return agents + [graph.spec(tenant) for graph in self.graphs.values() for tenant in ("", *graph.tenants())]

    def people(self) -> dict[str, People]:
        """The groups and delegations of each agent and graph, by its name."""
        return {name: each.people for name, each in (*self.agents.items(), *self.graphs.items())}

    def _take(self, value: object) -> None:
        if isinstance(value, Graph):
            self._add(self.graphs, value.name, value)
            self._take_checks(value.checks)
            for agent in value.reach():
                self._take(agent)
            self._take_tools(value.tools)
        elif isinstance(value, Agent):
            for agent in value.reach():
                self._add(self.agents, agent.name, agent)
                self._take_checks(agent.checks)
                self._take_tools(agent.tools)
        elif isinstance(value, Tool):
            self._add(self.tools, value.name, value)

    def _take_tools(self, tools: tuple[Tool, ...]) -> None:
        for tool in tools:
            self._add(self.tools, tool.name, tool)

    def _take_checks(self, checks: Mapping[str, Callable[[Facts], Any]]) -> None:
        for name, check in checks.items():
            if self.checks.setdefault(name, check) is not check:
                raise DefinitionError(f"two functions in checks are named {name!r}. Rename one.")

    def _add(self, place: dict[str, Any], name: str, value: object) -> None:
        if place.setdefault(name, value) is not value or (name in self.agents and name in self.graphs):
            raise DefinitionError(f"two definitions are named {name!r}. Names are workflow types or tools: rename one.")


def load_project(folder: Path) -> Project:
    """Import `worker.py` of a folder and take its `project`; the folder goes first on the path.

    Raises:
        SetupError: there is none, or it fails to import for another reason than a wrong definition.
    """
    if not (folder / "worker.py").is_file():
        raise SetupError(f"there is no worker.py in {folder.resolve()}. Go to the project's folder.")
    if str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    try:
        project = getattr(importlib.import_module("worker"), "project", None)
    except UsageError:
        raise
    except Exception as error:
        raise SetupError(f"worker.py cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(project, Project):
        raise SetupError("worker.py has no `project`. Write: project = Project(agents, tools, workflows)")
    return project


def data_converter(settings: Settings | None = None, *, read_only: bool = False) -> DataConverter:
    """Pydantic JSON payloads, and failures without our stack traces (they are no news to an operator).

    With settings, large payloads are stored and read where these say, or `read_only` read. Whoever reads what
    workers wrote needs them.
    """
    from mainspring.adapters.payloads import open_storage

    storage = None
    if settings:
        storage = open_storage(settings.payload_address, settings.payload_folder, read_only=read_only)
    return dataclasses.replace(
        pydantic_data_converter,
        payload_converter_class=LeanPayloads,
        failure_converter_class=PlainFailures,
        external_storage=storage,
    )


class _LeanJson(PydanticJSONPlainPayloadConverter):
    """Writes records without what has its default value: less than half the bytes of a history."""

    def to_payload(self, value: Any) -> Payload | None:
        if not isinstance(value, Record):
            return super().to_payload(value)
        metadata = {"encoding": self.encoding.encode()}
        if isinstance(value, Sealed | Chunk | Compaction):
            metadata[names.WINDOW] = b""
        return Payload(metadata=metadata, data=value.model_dump_json(exclude_defaults=True).encode())


_LEAN_JSON = _LeanJson()
_CONVERTERS = tuple(
    _LEAN_JSON if each.encoding == _LEAN_JSON.encoding else each
    for each in DefaultPayloadConverter.default_encoding_payload_converters
)


class LeanPayloads(CompositePayloadConverter):
    """The SDK's converters, in their order, with ours for JSON."""

    def __init__(self) -> None:
        """Take them as they are: the SDK makes a converter for each workflow task."""
        super().__init__(*_CONVERTERS)


class PlainFailures(DefaultFailureConverter):
    """Leaves out the stack trace, with its file paths, of failures that have a type: those are sentences."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """Convert, then drop the stack where the message says it all."""
        super().to_failure(exception, payload_converter, failure)
        if failure.HasField("application_failure_info") and failure.application_failure_info.non_retryable:
            failure.stack_trace = ""


async def connect(settings: Settings) -> Client:
    """Connect as the SDK's environment configuration says (`TEMPORAL_ADDRESS`, `TEMPORAL_PROFILE` …).

    The settings say where large payloads are: a client without them cannot read every history.

    Raises:
        SetupError: naming the address and what to do.
    """
    converter = data_converter(settings)
    config: dict[str, Any] = dict(ClientConfig.load_client_connect_config())
    config.setdefault("target_host", "localhost:7233")
    try:
        return await Client.connect(**config, data_converter=converter)
    except (RuntimeError, RPCError, ValueError) as error:
        address, said = config["target_host"], str(error).splitlines()[0]
        why = "" if "ConnectError" in said else f" ({said})"
        raise SetupError(
            f"no Temporal server answers at {address}{why}. Start one with `mainspring dev`, or set TEMPORAL_ADDRESS."
        ) from None


@asynccontextmanager
async def working(project: Project, client: Client, settings: Settings) -> AsyncGenerator[Worker]:
    """A worker that serves the project while the block runs.

    Raises:
        SetupError: a folder cannot be written, a bucket not be used, or a model's package is missing.
    """
    logging.getLogger("temporalio.activity").addFilter(_without_content)
    async with _world(project, client, settings) as world:
        GRAPHS.update(project.graphs)
        worker = Worker(
            client,
            task_queue=settings.task_queue,
            workflows=[AnyRun],
            activities=Activities(world).all(),
            # What guards determinism is import contracts and replay tests: LangGraph loads lazily what
            # the sandbox forbids, and a sandbox that passes everything through guards nothing.
            workflow_runner=UnsandboxedWorkflowRunner(),
            sticky_queue_schedule_to_start_timeout=_STICKY,
            max_heartbeat_throttle_interval=_THROTTLE,
            default_heartbeat_throttle_interval=_THROTTLE,
            build_id=version("mainspring"),  # else the SDK hashes every loaded module's code at start
        )
        _be_patient(worker)
        try:
            async with worker:
                yield worker
        finally:
            del worker
            _drop_quietly()


def _be_patient(worker: Worker) -> None:
    """Give workflow tasks more time than the SDK does, which has no option for it yet (temporalio/sdk-python#1614)."""
    tasks: Any = vars(worker)["_workflow_worker"]
    tasks._deadlock_timeout_seconds = _DEADLOCK  # noqa: SLF001


def _drop_quietly() -> None:
    """Let go of the runs that the stopped worker held in memory; they go on elsewhere from their histories.

    The SDK just drops their coroutines, and LangGraph's cannot end without their event loop: each would
    print a stack trace about its own clean-up.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()
    finally:
        sys.unraisablehook = hook


@asynccontextmanager
async def _world(project: Project, client: Client, settings: Settings) -> AsyncGenerator[World]:
    from mainspring.adapters.limiter import open_limiter
    from mainspring.adapters.payloads import check_storage, item_limit
    from mainspring.adapters.store_memory import open_sqlite
    from mainspring.adapters.tokens import count, window

    _writable(settings.state)
    await check_storage(settings.payload_address, settings.payload_folder)
    open_model = check_models(project, settings)
    routes = [route for spec in project.specs() for route in spec.routes]
    open_verifier, notifier = open_approving(routes, settings)
    exporter = Exporter(file=settings.trace_file, otlp=bool(settings.otlp_endpoint))
    try:
        limits = open_limiter(settings.limits, settings.limits_file)
        async with open_sqlite(settings.memory_file) as own, limits as limiter:
            yield World(
                agents=project.agents,
                graphs=project.graphs,
                guards=open_guards(project, settings),
                default_model=settings.model,
                open_model=open_model,
                price=_price,
                memory=project.memory or own,
                exporter=exporter,
                gauge=Gauge(counter=lambda model: partial(count, model), window=window),
                limiter=limiter,
                item_limit=item_limit(client.data_converter, ITEM_LIMIT),
                open_verifier=open_verifier,
                notifier=notifier,
                inbox=settings.inbox_url,
            )
    finally:
        await asyncio.to_thread(exporter.shutdown)


def open_guards(project: Project, settings: Settings, *, read_only: bool = False) -> Guards:
    """What rules are asked with; a key for tokens is made where there is none, unless that is only to be read.

    Raises:
        SetupError: the key for tokens cannot be read or made.
        PolicyError: a rule redacts a kind that nothing finds.
    """
    from mainspring.adapters.token_key import read_token_key

    open_recogniser = cache(partial(_open_recogniser, settings))
    rules = [rule for spec in project.specs() for rule in assemble(spec.rule_texts).rules]
    # Not where no rule looks for anything, but for a mistake in the settings.
    if settings.patterns or settings.presidio or any(map(_may_look, rules)):
        check_kinds(rules, open_recogniser().kinds)
    needed = any(rule.way in ("hash", "token") for rule in rules) and not read_only
    known = settings.token_key or settings.token_file.exists()  # a run of before may need it
    key = read_token_key(settings.token_key, settings.token_file) if needed or known else b""
    return Guards(project.tools, project.checks, open_recogniser, key)


def _may_look(rule: Rule) -> bool:
    """Whether a rule may ask what recognisers find; a function that it names may read all facts."""
    return rule.verdict == "redact" or bool(rule.check) or "found" in rule.when


def _open_recogniser(settings: Settings) -> Recogniser:
    from mainspring.adapters.recognisers import open_recognisers

    return open_recognisers(settings.patterns, settings.presidio)


def check_rules(project: Project, settings: Settings) -> frozenset[str]:
    """Check what can only be told of all rule files together; gives the kinds of what is found in texts.

    Raises:
        PolicyError: a rule is about a tool that nobody has, or redacts a kind that nothing finds.
    """
    kinds = _open_recogniser(settings).kinds
    specs = project.specs()
    check_reach(specs)
    check_kinds([rule for spec in specs for rule in assemble(spec.rule_texts).rules], kinds)
    return frozenset(kinds)


def check_models(project: Project, settings: Settings) -> Callable[[str, float], Model]:
    """Open every model that the project may ask; gives what opens them.

    Raises:
        SetupError: a package or key is missing, or a name is none.
    """
    open_model = _opener(project.models)
    for name in {settings.model, *(agent.model for agent in project.agents.values() if agent.model)}:
        open_model(name, 60.0)
    return open_model


def _opener(own: Mapping[str, Model]) -> Callable[[str, float], Model]:
    @lru_cache(maxsize=64)
    def open_model(name: str, timeout: float) -> Model:
        if name in own:
            return own[name]
        if name == "playbook":
            from mainspring.adapters.playbook import PlaybookModel

            return PlaybookModel()
        from mainspring.adapters import chat_model

        return chat_model.open_model(name, timeout)

    return open_model


def run(project: Project) -> None:
    """Serve a project until SIGINT or SIGTERM, then end the process: with 1 and a sentence on a mistake."""
    code = 0
    try:
        asyncio.run(serve(project, read_settings()))
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - to the person who started the worker
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of the Temporal SDK call into Python while it winds down, and abort it now and then


async def serve(project: Project, settings: Settings) -> None:
    """Connect and work until SIGINT or SIGTERM.

    Raises:
        SetupError: no server, an unusable setting.
    """
    client = await connect(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    async with working(project, client, settings):
        names = ", ".join(sorted({*project.agents, *project.graphs}))
        print(  # noqa: T201 - the one line a worker says
            f"Serving {names} on task queue {settings.task_queue!r}, model {settings.model!r}. Ctrl-C stops.",
            flush=True,
        )
        await stop.wait()


def _price(provider: str, model: str, input_tokens: int, output_tokens: int) -> int | None:
    """Models of this package run here and cost nothing; all others have a list price, or none that is known."""
    from mainspring.adapters.prices import cost_microusd

    return 0 if provider == "mainspring" else cost_microusd(provider, model, input_tokens, output_tokens)


def _without_content(record: logging.LogRecord) -> bool:
    """Keep a failed activity's kind in the log, and drop its text and stack: a tool's error may quote a customer.

    The text is in the run's history, which is protected as the run's data is.
    """
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        record.msg = f"{record.msg} [{getattr(error, 'type', None) or type(error).__name__}]"
        record.exc_info = record.exc_text = None
    return True


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"the state folder {str(folder)!r} cannot be written ({error.strerror}). Set MAINSPRING_STATE to another."
        ) from None


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for info in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
        yield importlib.import_module(info.name)


def _check_origin(package: ModuleType) -> None:
    origin = package.__file__ or next(iter(getattr(package, "__path__", [])), "")
    if "site-packages" in Path(origin).parts:
        raise DefinitionError(
            f"{package.__name__!r} was imported from {origin}, not from your project. Another installed package has "
            "that name: rename your folder, and its line in worker.py."
        )
