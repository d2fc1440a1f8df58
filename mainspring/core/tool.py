"""`@tool`: a Python function that a model may call."""

import inspect
import re
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol, cast, get_args, get_type_hints

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError

from mainspring.core.canonical import Json
from mainspring.core.labels import read_label
from mainspring.core.spec import Effect, Mode, ToolSpec
from mainspring.errors import DefinitionError

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Remembers(Protocol):
    """The one thing a tool may do with memory: add a note about this run's user."""

    async def __call__(self, note: str) -> None:
        """Keep `note`; the same call repeated keeps it once."""
        ...


@dataclass(frozen=True)
class Context:
    """What the engine tells a tool that asks for it with a parameter of this type.

    `idempotency_key` is the same in every attempt of one call and differs between calls. `fence` is 1, and grows
    by one each time a person lets a call whose outcome was not known run again: whoever keeps the largest one seen
    for a key can refuse a first call that comes late.
    """

    run: str
    agent: str
    idempotency_key: str
    user: str
    tenant: str
    remember: Remembers
    fence: int = 1

    @property
    def headers(self) -> dict[str, str]:
        """The key as an HTTP header, as the IETF draft `Idempotency-Key` writes it (a quoted string)."""
        return {"Idempotency-Key": f'"{self.idempotency_key}"'}


@dataclass(frozen=True)
class Tool:
    """A tool as defined; `spec` is the part of it that travels."""

    spec: ToolSpec
    function: Callable[..., Any]
    arguments: type[BaseModel]
    result: TypeAdapter[Any]
    context_parameter: str | None

    @property
    def name(self) -> str:
        """The name the model calls it by."""
        return self.spec.name

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function (others run off the event loop)."""
        return inspect.iscoroutinefunction(self.function)

    def parse(self, args: dict[str, Json]) -> dict[str, Json]:
        """Check arguments and fill in defaults, as JSON values.

        Raises:
            pydantic.ValidationError: with one entry per wrong argument.
        """
        return self.arguments.model_validate(args).model_dump(mode="json")

    def call(self, args: dict[str, Json], context: Context) -> Any:
        """Call the function (a coroutine where it is async) with parsed, typed arguments."""
        model = self.arguments.model_validate(args)
        given = {name: getattr(model, name) for name in type(model).model_fields}
        if self.context_parameter:
            given[self.context_parameter] = context
        return self.function(**given)

    def dump(self, value: Any) -> Json:
        """The JSON value of a result, by the declared return type.

        Raises:
            pydantic.ValidationError: the tool returned something else than it declares.
        """
        return cast("Json", self.result.dump_python(self.result.validate_python(value), mode="json"))


def tool(
    effect: Effect,
    *,
    name: str = "",
    timeout: timedelta = timedelta(seconds=30),
    mode: Mode | None = None,
    returns: str = "external",
    accepts: str = "",
    opens: bool = False,
) -> Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool: schema from its type hints, description from its docstring.

    Args:
        effect: `read` changes nothing; `idempotent` may be repeated with the same
            `Context.idempotency_key`; `once` must never be repeated without a person.
        name: what the model calls it by; default: the function's name.
        timeout: how long one attempt may take.
        mode: overrides the agent's mode for this tool; `step` makes every call of it an activity.
        returns: how far its results may be trusted and who may see them, such as `trusted`, `external` (anybody may
            have written them) or `external personal`; see `core.labels`.
        accepts: what its arguments may be made of without a person: the least trusted, the most secret, or both.
            Default: `external` for a `read`, `user` for a tool with effects; secret or not.
        opens: it is given what tokens in its arguments stand for (a rule's `redact` with `token`); other tools get the
            tokens. Only for what may know the true value, such as a payment.

    Raises:
        DefinitionError: no docstring, an argument without type, a bad effect, mode, label or name.
    """

    def define(function: Callable[..., Any]) -> Tool:
        labels = (returns, accepts or usually_accepts(effect))
        made = _define(function, effect, name or getattr(function, "__name__", ""), timeout, mode, labels)
        return replace(made, spec=made.spec.model_copy(update={"opens": opens}))

    if callable(effect):
        raise DefinitionError(
            f"tool {getattr(effect, '__name__', effect)!r} does not say its effect. "
            "The engine retries, permits and audits by it. Write @tool(effect='read'), 'idempotent' or 'once'."
        )
    return define


def usually_accepts(effect: Effect) -> str:
    """The label of what a tool takes without a person, where its author does not say it."""
    return "external" if effect == "read" else "user"


def check_label(where: str, what: str, label: str) -> None:
    """Refuse a label that is none; `where` and `what` are the definition and its parameter.

    Raises:
        DefinitionError: with the words there are.
    """
    try:
        read_label(label)
    except ValueError as error:
        raise DefinitionError(f"{where} has {what}={label!r}: {error}.") from None


def in_words(error: ValidationError) -> str:
    """What is wrong with a value, field by field, without the value itself."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors())


def _define(  # noqa: PLR0917 - what the decorator was given
    function: Callable[..., Any],
    effect: Effect,
    name: str,
    timeout: timedelta,
    mode: Mode | None,
    labels: tuple[str, str],
) -> Tool:
    where = f"tool {name!r} ({_place(function)})"
    if not NAME.fullmatch(name):
        raise DefinitionError(f"{where} has a name no model accepts: use a-z, 0-9 and _, at most 64 characters.")
    if effect not in ("read", "idempotent", "once"):
        raise DefinitionError(f"{where} has effect {effect!r}; it must be 'read', 'idempotent' or 'once'.")
    if mode not in (None, *get_args(Mode)):
        raise DefinitionError(f"{where} has mode {mode!r}; it must be 'step', 'turn' or 'fast'.")
    if mode not in (None, "step") and effect != "read":
        raise DefinitionError(f"{where} has mode {mode!r}, but only a 'read' may be a local activity. Leave mode out.")
    if timeout <= timedelta(0):
        raise DefinitionError(f"{where} has the time-out {timeout}; it must be longer than nothing.")
    check_label(where, "returns", labels[0])
    check_label(where, "accepts", labels[1])
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    description = "\n\n".join(part for part in (doc.short_description, doc.long_description) if part)
    if not description:
        raise DefinitionError(f"{where} has no docstring. The model reads it to know when to call. Add one sentence.")
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DefinitionError(f"{where} has a type hint that cannot be resolved: {error}.") from None
    texts = {p.arg_name: p.description or "" for p in doc.params}
    arguments, context = _arguments(function, name, hints, texts, where)
    try:
        result: TypeAdapter[Any] = TypeAdapter(hints.get("return", Any))
        spec = ToolSpec(
            name=name,
            description=description,
            input_schema=arguments.model_json_schema(),
            result_schema=result.json_schema(mode="serialization") if "return" in hints else None,
            effect=effect,
            timeout=timeout.total_seconds(),
            mode=mode,
            returns=labels[0],
            accepts=labels[1],
        )
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        reason = str(error).splitlines()[0]
        raise DefinitionError(f"{where} has a type that has no JSON form: {reason}") from None
    return Tool(spec=spec, function=function, arguments=arguments, result=result, context_parameter=context)


def _arguments(
    function: Callable[..., Any], name: str, hints: dict[str, Any], texts: dict[str, str], where: str
) -> tuple[type[BaseModel], str | None]:
    context: str | None = None
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DefinitionError(
                f"{where}: {parameter.name!r} has no name to call it by; a model names its arguments."
            )
        if parameter.name not in hints:
            raise DefinitionError(f"{where}: argument {parameter.name!r} has no type hint; the schema needs one.")
        if hints[parameter.name] is Context:
            context = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        text = texts.get(parameter.name)
        hint = hints[parameter.name]
        fields[parameter.name] = (hint, Field(default, description=text)) if text else (hint, default)
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        raise DefinitionError(f"{where} has an argument that has no JSON form: {str(error).splitlines()[0]}") from None
    return model, context


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, types.CodeType) else "unknown place"
