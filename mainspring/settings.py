"""What the operator may set: read once at the edge, from the environment and `mainspring.toml`, and passed down.

The connection to Temporal is not ours: the SDK's own environment configuration (`TEMPORAL_ADDRESS`,
`TEMPORAL_PROFILE` …) holds, as it does for the `temporal` CLI.
"""

import os
import re
import tomllib
from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mainspring.contracts.names import TASK_QUEUE
from mainspring.errors import SetupError, did_you_mean

FILE = "mainspring.toml"
PREFIX = "MAINSPRING_"
KEYS = (
    *("inbox_hours", "inbox_oidc_client_id", "inbox_oidc_issuer", "inbox_oidc_roles", "inbox_oidc_secret"),
    *("inbox_secret", "inbox_url"),
    *("limits", "model", "patterns", "payloads", "presidio", "state", "task_queue", "token_key"),
)
SECRETS = ("inbox_oidc_secret", "inbox_secret", "token_key")
"""Keys whose values no message may quote."""
_PAYLOADS = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?|[^:]*|[A-Za-z]:[\\/].*)$"
"""No colon but in S3's address and after a drive's letter: `gs://bucket` is no folder."""
_URL = r"^$|^https?://[^\s/?#]+[^\s?#]*$"
_LIMITS = r"^$|^[a-z][a-z+]*://\S*$"
OTLP = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Settings(BaseSettings):
    """All settings, frozen. Made by `read_settings`, which says in words what is wrong.

    `model` is `playbook` or `provider:name`; `state` is the folder for everything kept on this machine;
    `patterns` are RE2 patterns by the kind of what they find, and `presidio` has presidio find more;
    `token_key` (64 hex characters) is what tokens are made with, "" for a key that is made and kept in `state`;
    `limits` is where limits are counted: an address of the package `limits`, or "" for a file in `state`;
    `inbox_url` is where browsers find the web inbox. People log in there at the identity provider `inbox_oidc_issuer`,
    to which it is `inbox_oidc_client_id` with `inbox_oidc_secret`; the claim `inbox_oidc_roles` has their roles, and
    `inbox_hours` later they log in again. `inbox_secret` signs its cookies, "" for one that is made at each start;
    `payloads` is where large payloads go: a folder ("" for one in `state`), `s3://bucket/prefix` or `none`;
    `otlp_endpoint` is where spans go besides the local file ("" for nowhere), under OpenTelemetry's own variable.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file=FILE, frozen=True, extra="forbid")

    inbox_hours: float = Field(default=8.0, gt=0, le=24 * 7)
    inbox_oidc_client_id: str = ""
    inbox_oidc_issuer: str = Field(default="", pattern=_URL)
    inbox_oidc_roles: str = Field(default="roles", min_length=1)
    inbox_oidc_secret: str = Field(default="", repr=False)
    inbox_secret: str = Field(default="", pattern=r"^$|^.{32,}$", repr=False)
    inbox_url: str = Field(default="", pattern=_URL)
    limits: str = Field(default="", pattern=_LIMITS)
    model: str = Field(default="playbook", pattern=r"^(playbook|[a-z][a-z0-9_-]*:\S+)$")
    patterns: dict[str, str] = Field(default_factory=dict[str, str])
    payloads: str = Field(default="", pattern=_PAYLOADS)
    presidio: bool = False
    state: Path = Path(".mainspring")
    task_queue: str = Field(default=TASK_QUEUE, min_length=1)
    token_key: str = Field(default="", pattern=r"^$|^[0-9a-f]{64}$", repr=False)
    otlp_endpoint: str = Field(
        default="",
        pattern=r"^$|^https?://",
        validation_alias=AliasChoices(*OTLP),
    )

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
    return [
        f"The variable {name!r} is not known.{did_you_mean(name, known)}"
        for name in sorted(os.environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]


def _in_words(error: ErrorDetails, *, flag: bool) -> str:
    name = str(error["loc"][0])
    if error["type"] == "extra_forbidden":
        return f"The key {name!r} in '{FILE}' is not known.{did_you_mean(name, KEYS)}"
    right = {
        "inbox_hours": "it must be a number of hours, such as 8",
        "inbox_oidc_roles": "it must be the name of a claim, such as 'roles' or 'groups'",
        "inbox_secret": "it must have at least 32 characters, such as `openssl rand -hex 32` gives",
        "inbox_url": "it must be an address such as 'https://inbox.example.com'",
        "inbox_oidc_issuer": "it must be an address such as 'https://login.example.com'",
        "limits": "it must be an address such as 'redis://host:6379' or 'memory://', or empty for a file",
        "model": "it must be 'playbook' or 'provider:name', such as 'openai:gpt-5.2'",
        "payloads": "it must be the path of a folder, an address such as 's3://bucket/prefix', or 'none'",
        "patterns": "it must be a table of RE2 patterns by kind, such as {employee = 'E-[0-9]{6}'}",
        "presidio": "it must be true or false",
        "token_key": "it must be 64 hex characters, such as `openssl rand -hex 32` gives",
        "state": "it must be the path of a folder",
        "task_queue": "it must be the name of a task queue, not empty",
    }.get(name, "it must be a URL such as 'http://localhost:4318'")
    given = "not usable" if name in SECRETS else repr(error["input"])
    if name == "limits":  # there may be a password before the host
        given = re.sub("(?<=').*@", "…@", given)
    return f"{_place(name, flag=flag)} is {given}, but {right}."


def _place(name: str, *, flag: bool) -> str:
    if flag and name == "model":
        return "'--model'"
    variable = f"{PREFIX}{name.upper()}"
    if name.startswith("OTEL_"):  # pydantic names the first alias, whichever was set
        return f"The variable {next((each for each in OTLP if each in os.environ), name)!r}"
    return f"The variable {variable!r}" if variable in os.environ else f"The key {name!r} in '{FILE}'"
