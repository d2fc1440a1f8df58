"""What the operator may set: read once at the edge, from the environment and `mainspring.toml`, and passed down.

The connection to Temporal is not ours: the SDK's own environment configuration (`TEMPORAL_ADDRESS`,
`TEMPORAL_PROFILE` …) holds, as it does for the `temporal` CLI.
"""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from mainspring.contracts.names import TASK_QUEUE
from mainspring.core.tokens import Approver
from mainspring.errors import SetupError, did_you_mean
from mainspring.ports.notifier import Channel

FILE = "mainspring.toml"
PREFIX = "MAINSPRING_"
KEYS = (
    *("approval_keys", "approvers"),
    *("inbox_hours", "inbox_oidc_client_id", "inbox_oidc_issuer", "inbox_oidc_roles", "inbox_oidc_secret"),
    *("inbox_secret", "inbox_url"),
    *("limits", "model", "notify", "notify_templates", "patterns", "payloads", "presidio", "state", "task_queue"),
    *("token_key", "ui_url"),
)
SECRETS = ("inbox_oidc_secret", "inbox_secret", "token_key")
"""Keys whose values no message may quote."""
_TABLES = ("approvers", "notify", "patterns")
_PARTS = "__"
"""Between the parts of a variable that sets a part of a table: `MAINSPRING_NOTIFY__ADA__URL`."""
_PAYLOADS = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?|[^:]*|[A-Za-z]:[\\/].*)$"
"""No colon but in S3's address and after a drive's letter: `gs://bucket` is no folder."""
_LIMITS = r"^$|^[a-z][a-z+]*://\S*$"
_CHANNEL = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_PLACE = r"^$|^https?://[^\s/?#]+(/[^\s?#]*)?$"
"""An address that links can begin with."""
OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Settings(BaseSettings):
    """All settings, frozen. Made by `read_settings`, which says in words what is wrong.

    `model` is `playbook` or `provider:name`; `state` is the folder for everything kept on this machine;
    `patterns` are RE2 patterns by the kind of what they find, and `presidio` has presidio find more;
    `token_key` (64 hex characters) is what tokens are made with, "" for a key that is made and kept in `state`;
    `limits` is where limits are counted: an address of the package `limits`, or "" for a file in `state`;
    `notify` are the channels by which people are told that a request waits, by name, and `notify_templates` a folder
    with the words; `inbox_url` and `ui_url` are where people find a request: in the inbox, and in Temporal's Web UI.
    They log in to the inbox at the identity provider `inbox_oidc_issuer`,
    to which it is `inbox_oidc_client_id` with `inbox_oidc_secret`; the claim `inbox_oidc_roles` has their roles, and
    `inbox_hours` later they log in again. `inbox_secret` signs its cookies, "" for one that is made at each start;
    `payloads` is where large payloads go: a folder ("" for one in `state`), `s3://bucket/prefix` or `none`;
    `approvers` are those who are trusted to say who somebody is; `approval_keys` is the file of the keys that the
    engine itself signs with, "" for one that is made and kept in `state`;
    `otlp_endpoint` is where spans go besides the local file ("" for nowhere), under OpenTelemetry's own variable.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter=_PARTS, toml_file=FILE, frozen=True, extra="forbid"
    )

    approval_keys: str = ""
    approvers: tuple[Approver, ...] = ()
    inbox_hours: float = Field(default=8.0, gt=0, le=24 * 7)
    inbox_oidc_client_id: str = ""
    inbox_oidc_issuer: str = Field(default="", pattern=_PLACE)
    inbox_oidc_roles: str = Field(default="roles", min_length=1)
    inbox_oidc_secret: str = Field(default="", repr=False)
    inbox_secret: str = Field(default="", pattern=r"^$|^.{32,}$", repr=False)
    inbox_url: str = Field(default="", pattern=_PLACE)
    limits: str = Field(default="", pattern=_LIMITS)
    model: str = Field(default="playbook", pattern=r"^(playbook|[a-z][a-z0-9_-]*:\S+)$")
    notify: dict[Annotated[str, Field(pattern=_CHANNEL)], Channel] = Field(
        default_factory=dict[str, Channel], repr=False
    )
    notify_templates: Path | None = None
    patterns: dict[str, str] = Field(default_factory=dict[str, str])
    payloads: str = Field(default="", pattern=_PAYLOADS)
    presidio: bool = False
    state: Path = Path(".mainspring")
    task_queue: str = Field(default=TASK_QUEUE, min_length=1)
    token_key: str = Field(default="", pattern=r"^$|^[0-9a-f]{64}$", repr=False)
    ui_url: str = Field(default="", pattern=_PLACE)
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^$|^https?://",
        validation_alias=AliasChoices(*OTLP),
    )

    @field_validator("approvers")
    @classmethod
    def _once_each(cls, approvers: tuple[Approver, ...]) -> tuple[Approver, ...]:
        issuers = [each.issuer for each in approvers if each.issuer]
        if twice := next((each for each in issuers if issuers.count(each) > 1), ""):
            raise ValueError(f"the issuer {twice!r} stands in two tables; write one")
        return approvers

    @property
    def approval_keys_file(self) -> Path:
        """The file with the keys that approvals are signed with, where no other is set."""
        return Path(self.approval_keys) if self.approval_keys else self.state / "approval-keys.json"

    @property
    def limits_file(self) -> Path:
        """The SQLite file in which limits are counted, where no other place is set."""
        return self.state / "limits.sqlite"

    @property
    def token_file(self) -> Path:
        """The file with the key for tokens, where none is set."""
        return self.state / "token.key"

    @property
    def memory_file(self) -> Path:
        """The SQLite file of the memory."""
        return self.state / "memory.db"

    @property
    def trace_file(self) -> Path:
        """The file with one span a line."""
        return self.state / "traces.jsonl"

    @property
    def payload_address(self) -> str:
        """Where large payloads go instead of the folder: an `s3://` address or `none`; "" for the folder."""
        return self.payloads if self.payloads == "none" or self.payloads.startswith("s3://") else ""

    @property
    def payload_folder(self) -> Path:
        """The folder of large payloads, one file each, by namespace and workflow id."""
        return Path(self.payloads) if self.payloads and not self.payload_address else self.state / "payloads"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed goes before the environment, and the environment before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings(*, model: str | None = None) -> Settings:
    """Read the settings; `model`, where given, goes before all else (a flag of the command line).

    Raises:
        SetupError: listing everything that is wrong, each with the name it was set under.
    """
    problems = _unknown_variables()
    try:
        settings = Settings() if model is None else Settings(model=model)
    except ValidationError as error:
        problems += [_in_words(each, flag=model is not None) for each in error.errors()]
    except SettingsError:  # a table in a variable; the error names it in other words, and may hold its value
        problems += _tables_that_are_not_json()
    except tomllib.TOMLDecodeError as error:
        problems.append(f"'{FILE}' is not TOML: {error}.")
    except OSError as error:
        problems.append(f"'{FILE}' cannot be read: {error.strerror}.")
    else:
        if not problems:
            return settings
    raise SetupError("The settings cannot be used. " + " ".join(problems))


def _unknown_variables() -> list[str]:
    known = [f"{PREFIX}{name.upper()}" for name in KEYS]
    tables = tuple(f"{PREFIX}{name.upper()}{_PARTS}" for name in _TABLES)
    return [
        f"The variable {name!r} is not known.{did_you_mean(name, known)}"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known and not name.upper().startswith(tables)
    ]


def _tables_that_are_not_json() -> list[str]:
    return [
        f"The variable {name!r} is not JSON; it must hold what '{FILE}' would have there."
        for name in sorted(os.environ)
        if name.upper() in [f"{PREFIX}{table.upper()}" for table in _TABLES] and not _is_json(os.environ[name])
    ]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _in_words(error: ErrorDetails, *, flag: bool) -> str:
    name = str(error["loc"][0])
    if name == "approvers":
        return _approvers_in_words(error)
    if name == "notify":
        return _channel_in_words(error)
    if error["type"] == "extra_forbidden":
        return f"The key {name!r} in '{FILE}' is not known.{did_you_mean(name, KEYS)}"
    place = "it must be an address that links can begin with, such as 'https://approvals.example.com'"
    right = {
        "approval_keys": "it must be the path of a file",
        "inbox_hours": "it must be a number of hours, such as 8",
        "inbox_oidc_issuer": "it must be an address such as 'https://login.example.com'",
        "inbox_oidc_roles": "it must be the name of a claim, such as 'roles' or 'groups'",
        "inbox_secret": "it must have at least 32 characters, such as `openssl rand -hex 32` gives",
        "inbox_url": place,
        "limits": "it must be an address such as 'redis://host:6379' or 'memory://', or empty for a file",
        "model": "it must be 'playbook' or 'provider:name', such as 'openai:gpt-5.2'",
        "payloads": "it must be the path of a folder, an address such as 's3://bucket/prefix', or 'none'",
        "notify_templates": "it must be the path of a folder",
        "patterns": "it must be a table of RE2 patterns by kind, such as {employee = 'E-[0-9]{6}'}",
        "presidio": "it must be true or false",
        "token_key": "it must be 64 hex characters, such as `openssl rand -hex 32` gives",
        "state": "it must be the path of a folder",
        "task_queue": "it must be the name of a task queue, not empty",
        "ui_url": place,
    }.get(name, "it must be a URL such as 'http://localhost:4318'")
    given = "not usable" if name in SECRETS else repr(error["input"])
    if name == "limits":  # there may be a password before the host
        given = re.sub("(?<=').*@", "…@", given)
    return f"{_place(name, flag=flag)} is {given}, but {right}."


def _approvers_in_words(error: ErrorDetails) -> str:
    """What is wrong with a table `[[approvers]]`: which one, and which key of it."""
    _, *rest = error["loc"]
    where = _place("approvers", flag=False)
    if error["type"] in ("tuple_type", "model_type"):
        return f"{where} must be a list of tables, such as [[approvers]] with issuer = '…' and keys = '…'."
    table = f"{where}, table {rest[0] + 1}" if rest and isinstance(rest[0], int) else where
    key = str(rest[1]) if len(rest) > 1 else ""
    if error["type"] == "extra_forbidden":
        return f"{table}: the key {key!r} is not known.{did_you_mean(key, Approver.model_fields)}"
    if error["type"] == "missing":
        return f"{table}: it needs 'keys', the path or https:// address of a JWKS."
    if key:
        return f"{table}: {key!r} must be a text that is not empty."
    return f"{table}: {error['msg'].removeprefix('Value error, ')}."


def _channel_in_words(error: ErrorDetails) -> str:
    """What is wrong with a channel, without what it is: it may be an address or a secret."""
    name, part = [*map(str, error["loc"]), "", ""][1:3]
    if len(error["loc"]) == 1:
        return f"{_place('notify', flag=False)} must be a table of channels by name."
    if part == "[key]":
        return f"The channel {name!r} must have a name of lower-case letters, digits, '-' and '_'."
    wrong = f"The channel {name!r} of 'notify' "
    if error["type"] == "missing":
        return f"{wrong}has no {part!r}."
    if error["type"] == "extra_forbidden":
        return f"{wrong}has an unknown key {part!r}.{did_you_mean(part, Channel.model_fields)}"
    if not part:
        return f"{wrong}must be a URL, or a table with a 'url'."
    right = {"person": "a name without spaces, such as 'ada@example.com'", "templates": "the path of a folder"}
    return f"{wrong}has a {part!r} that is not usable; it must be {right.get(part, 'a text, not empty')}."


def _place(name: str, *, flag: bool) -> str:
    if flag and name == "model":
        return "'--model'"
    variable = f"{PREFIX}{name.upper()}"
    if name.startswith("OTEL_"):  # pydantic names the first alias, whichever was set
        return f"The variable {next((each for each in OTLP if each in os.environ), name)!r}"
    return f"The variable {variable!r}" if variable in os.environ else f"The key {name!r} in '{FILE}'"
