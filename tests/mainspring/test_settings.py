from pathlib import Path

import pytest

from mainspring.errors import SetupError
from mainspring.settings import OTLP, read_settings


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without settings, and an environment without ours."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "MAINSPRING_LIMITS",
        "MAINSPRING_MODEL",
        "MAINSPRING_PAYLOADS",
        "MAINSPRING_STATE",
        "MAINSPRING_TASK_QUEUE",
        *OTLP,
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_defaults_need_nothing():
    """Without any setting there is the playbook, a local folder and the usual task queue."""
    settings = read_settings()

    assert (settings.model, settings.task_queue, settings.otlp_endpoint) == ("playbook", "mainspring", "")
    assert settings.trace_file == Path(".mainspring/traces.jsonl")


def test_flag_before_environment_before_file(empty_place: Path, monkeypatch: pytest.MonkeyPatch):
    """A flag goes before the environment, the environment before `mainspring.toml`."""
    (empty_place / "mainspring.toml").write_text('model = "ollama:a"\nstate = "kept"\ntask_queue = "file"\n')
    monkeypatch.setenv("MAINSPRING_MODEL", "ollama:b")
    monkeypatch.setenv("MAINSPRING_STATE", "elsewhere")

    settings = read_settings(model="ollama:c")

    assert (settings.model, settings.state, settings.task_queue) == ("ollama:c", Path("elsewhere"), "file")


def test_settings_are_frozen():
    """Nobody changes a setting after the start."""
    with pytest.raises(ValueError, match="frozen"):
        read_settings().model = "openai:x"  # pyright: ignore[reportAttributeAccessIssue]


def test_all_problems_at_once(empty_place: Path, monkeypatch: pytest.MonkeyPatch):
    """Everything that is wrong is listed together, each under the name it was set with."""
    (empty_place / "mainspring.toml").write_text("modl = 1\nstate = 3\n")
    monkeypatch.setenv("MAINSPRING_TASK_QUEU", "x")
    monkeypatch.setenv("MAINSPRING_TASK_QUEUE", "")

    with pytest.raises(SetupError) as error:
        read_settings(model="gpt")

    said = str(error.value)
    assert "'MAINSPRING_TASK_QUEU' is not known. Did you mean 'MAINSPRING_TASK_QUEUE'?" in said
    assert "'MAINSPRING_TASK_QUEUE' is ''" in said
    assert "'modl' in 'mainspring.toml' is not known. Did you mean 'model'?" in said
    assert "'state' in 'mainspring.toml' is 3" in said
    assert "'--model' is 'gpt', but it must be 'playbook' or 'provider:name'" in said


def test_file_that_is_not_toml(empty_place: Path):
    """A broken file is named, with the place of the error."""
    (empty_place / "mainspring.toml").write_text("model playbook\n")

    with pytest.raises(SetupError, match=r"'mainspring.toml' is not TOML: .*line 1"):
        read_settings()


@pytest.mark.parametrize("name", OTLP)
def test_endpoint_under_its_own_variable(name: str, monkeypatch: pytest.MonkeyPatch):
    """OpenTelemetry's variables give the endpoint, and a bad one is named as it was set."""
    monkeypatch.setenv(name, "http://collector:4318")
    assert read_settings().otlp_endpoint == "http://collector:4318"

    monkeypatch.setenv(name, "collector:4318")
    with pytest.raises(SetupError, match=f"'{name}' is 'collector:4318'"):
        read_settings()


def test_limits_in_a_file_or_elsewhere(monkeypatch: pytest.MonkeyPatch):
    """Limits are counted in a file of the state folder, or at an address."""
    assert (read_settings().limits, read_settings().limits_file) == ("", Path(".mainspring/limits.sqlite"))

    monkeypatch.setenv("MAINSPRING_LIMITS", "redis+cluster://one:7000,two:7000")
    assert read_settings().limits == "redis+cluster://one:7000,two:7000"


def test_wrong_address_of_limits(monkeypatch: pytest.MonkeyPatch):
    """What is no address is refused with what there may be, and without its password."""
    monkeypatch.setenv("MAINSPRING_LIMITS", "redis//ana:s3cret@host")
    with pytest.raises(SetupError) as error:
        read_settings()

    said = str(error.value)
    assert "'MAINSPRING_LIMITS' is '…@host', but it must be an address such as 'redis://host:6379'" in said


def test_approvers(empty_place: Path):
    """Each table is one issuer of tokens; one without `issuer` is a file of personal keys."""
    (empty_place / "mainspring.toml").write_text(
        '[[approvers]]\nissuer = "https://login.example.com"\nkeys = "https://login.example.com/keys"\n'
        'audience = "client-7"\nroles = "groups"\nperson = "email"\n[[approvers]]\nkeys = "policies/team.json"\n'
    )

    idp, team = read_settings().approvers

    assert (idp.issuer, idp.audience, idp.roles, idp.person) == (
        "https://login.example.com",
        "client-7",
        "groups",
        "email",
    )
    assert (team.issuer, team.audience, team.roles, team.person) == ("", "mainspring", "roles", "sub")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("approvers = 3", "must be a list of tables, such as [[approvers]]"),
        ("approvers = [3]", "must be a list of tables, such as [[approvers]]"),
        ("[[approvers]]\nkeys = 3", "table 1: 'keys' must be a text that is not empty"),
        ("[[approvers]]\nissuer = 'x'", "table 1: it needs 'keys'"),
        (
            "[[approvers]]\nkeys = 'a'\n[[approvers]]\nkey = 'a'",
            "table 2: the key 'key' is not known. Did you mean 'keys'?",
        ),
        (
            "[[approvers]]\nissuer = 'mainspring'\nkeys = 'a'",
            "table 1: 'issuer' is 'mainspring', which is Mainspring's own",
        ),
        ("[[approvers]]\nissuer = 'mainspring:key'\nkeys = 'a'", "which is Mainspring's own"),
        (
            "[[approvers]]\nissuer = 'x'\nkeys = 'http://idp.example.com'",
            "'keys' must be the path of a JWKS file or an https",
        ),
        (
            "[[approvers]]\nissuer = 'x'\nkeys = 'http://127.0.0.1.example.com'",
            "'keys' must be the path of a JWKS file",
        ),
        ("[[approvers]]\nissuer = 'x'\nkeys = 'ftp://idp'", "'keys' must be the path of a JWKS file or an https"),
        ("[[approvers]]\nissuer = 'x'\nkeys = 'https://me:geheim@idp'", "without a password"),
        ("[[approvers]]\nissuer = 'x'\nkeys = 'https://'", "'keys' must be the path of a JWKS file or an https"),
        ("[[approvers]]\nissuer = 'x'\nkeys = 'https://['", "'keys' must be the path of a JWKS file or an https"),
        ("[[approvers]]\nkeys = 'https://idp'", "table 1: it has no 'issuer', so 'keys' must be the path"),
        ("[[approvers]]\nkeys = 'a'\nroles = 'r'", "table 1: 'roles' goes with an 'issuer'"),
        (2 * "[[approvers]]\nissuer = 'x'\nkeys = 'a'\n", "the issuer 'x' stands in two tables"),
        ("approval_keys = 3", "'approval_keys' in 'mainspring.toml' is 3, but it must be the path of a file"),
    ],
)
def test_approvers_that_cannot_be_meant(text: str, said: str, empty_place: Path):
    """Each table is told by its number, with what is wrong in it and what would be right."""
    (empty_place / "mainspring.toml").write_text(text)

    with pytest.raises(SetupError) as error:
        read_settings()
    assert said in str(error.value)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_keys_on_this_machine(host: str, empty_place: Path):
    """On this machine nobody stands between, so keys may be fetched without encryption."""
    (empty_place / "mainspring.toml").write_text(f"[[approvers]]\nissuer = 'x'\nkeys = 'http://{host}:8080/keys'")

    assert read_settings().approvers[0].is_address


def test_approvers_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    """In a variable the tables are JSON, and what is none is told."""
    monkeypatch.setenv("MAINSPRING_APPROVERS", '[{"keys": "team.json"}]')
    assert read_settings().approvers[0].keys == "team.json"

    monkeypatch.setenv("MAINSPRING_APPROVERS", "team.json")
    with pytest.raises(SetupError, match=r"The variable 'MAINSPRING_APPROVERS' is not JSON; it must hold what"):
        read_settings()


def test_the_file_of_approval_keys(monkeypatch: pytest.MonkeyPatch):
    """It is in the state folder, unless another is named."""
    assert read_settings().approval_keys_file == Path(".mainspring/approval-keys.json")

    monkeypatch.setenv("MAINSPRING_APPROVAL_KEYS", "/run/secrets/keys.json")
    assert read_settings().approval_keys_file == Path("/run/secrets/keys.json")
