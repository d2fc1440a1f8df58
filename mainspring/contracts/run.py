"""What a run is started with, and what it gives back."""

from pydantic import Field, ValidationError

from mainspring.core.canonical import Json, Record, Value
from mainspring.errors import InputError, did_you_mean


class RunInput(Record):
    """What a client may pass; everything is optional.

    Without `input` the run is a session: it waits for messages (update `send`) until it is told to finish.
    `user` is whom memory is about, `session` groups runs in traces, `traceparent` is a W3C trace
    context of the caller. `roles`, `channel` and `locale` say what the user may do, where they write, and in which
    language: rules may read them.
    """

    input: str | None = Field(default=None, min_length=1)
    user: str = ""
    tenant: str = ""
    session: str = ""
    roles: tuple[str, ...] = ()
    channel: str = ""
    locale: str = ""
    traceparent: str = Field(default="", pattern=r"^$|^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")


class Totals(Record):
    """What a run used. Cost is in millionths of a US dollar; None where a model's price is not known."""

    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0
    seconds: float = 0.0


class RunResult(Value):
    """What a run ends with: the answer in words, the typed result where one is declared, the totals."""

    answer: str
    result: Json = None
    totals: Totals = Totals()


def read_input(values: list[Json], name: str) -> RunInput:
    """Read the arguments of a start: one plain string, or one object.

    Raises:
        InputError: in words, naming the field and what would be right.
    """
    right = """Pass a plain string or an object such as {"input": "Order 1042 arrived broken", "user": "ada"}."""
    if not values:
        return RunInput()
    if len(values) != 1:
        raise InputError(f"{name!r} was started with {len(values)} inputs, but takes one. {right}")
    value = {"input": values[0]} if isinstance(values[0], str) else values[0]
    if not isinstance(value, dict):
        raise InputError(f"{name!r} was started with {type(value).__name__} as input. {right}")
    unknown = [key for key in value if key not in RunInput.model_fields]
    if unknown:
        raise InputError(
            f"{name!r}: the input has an unknown field {unknown[0]!r}.{did_you_mean(unknown[0], RunInput.model_fields)}"
        )
    try:
        return RunInput.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "input"
        raise InputError(f"{name!r}: input field {field!r}: {first['msg']}. {right}") from None
