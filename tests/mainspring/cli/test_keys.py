"""`mainspring keys`, and decisions that are signed at a terminal."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.common import RawValue
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from mainspring.adapters.approval_keys import open_approval_keys
from mainspring.adapters.verifier import open_verifier
from mainspring.core.approvals import Request, form_digest
from mainspring.core.tokens import Approver
from mainspring.devserver import DevServer
from mainspring.errors import TokenError
from mainspring.testing.bench import Bench
from mainspring.testing.verifier_contract import BINDING
from tests.mainspring.adapters.idp import make, public
from tests.mainspring.cli.test_cli import one_sentence, type_in, typed

TEAM = "team.jwks.json"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSPRING_STATE", str(tmp_path / "state"))
    return tmp_path


def new_key(person: str, *more: str) -> Path:
    """Make a key on the command line; gives the file with the public half, the private one is beside it."""
    name = person.partition("@")[0]
    result = type_in("keys", "new", "--as", person, "--out", f"{name}.json", *more)
    assert result.exit_code == 0, result.stderr
    shown = Path(f"{name}.public.json")
    shown.write_text(result.stdout)
    return shown


def trusted() -> list[dict[str, Any]]:
    """The keys of the team's file."""
    return json.loads(Path(TEAM).read_text())["keys"]


@pytest.mark.parametrize("command", ["new", "public", "trust", "list", "remove", "rotate"])
def test_help(command: str):
    """Every command explains itself."""
    result = type_in("keys", command, "--help")

    assert result.exit_code == 0
    assert f"mainspring keys {command}" in result.stdout


def test_new(place: Path):
    """A new key is its owner's alone; what is printed is the public half, which says whose it is."""
    result = type_in("keys", "new", "--as", "ada@example.com", "--role", "finance", "--role", "board", "--out", "k")

    shown = json.loads(result.stdout)
    private = json.loads((place / "k").read_text())
    assert (shown["sub"], shown["roles"]) == ("ada@example.com", ["finance", "board"])
    assert private == {**shown, "d": private["d"]}
    assert private["d"] not in result.output
    assert (place / "k").stat().st_mode & 0o077 == 0
    assert "The private key is in 'k'" in result.stderr
    assert [each.name for each in place.iterdir()] == ["k"]


def test_new_at_the_usual_place(place: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a file it goes where programs of this person keep what is theirs, not into the project."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "home"))
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(place / "home" / name))

    assert type_in("keys", "new", "--as", "ada@example.com").exit_code == 0
    assert (place / "home" / "mainspring" / "approver-key.json").exists()


def test_new_replaces_none(place: Path):
    """A key that is there stays as it is."""
    new_key("ada@example.com")
    before = (place / "ada.json").read_bytes()

    said = one_sentence(type_in("keys", "new", "--as", "ada@example.com", "--out", "ada.json"))

    assert "There is a file 'ada.json' already, and it was left as it is." in said
    assert (place / "ada.json").read_bytes() == before


@pytest.mark.parametrize("person", ["", " ada", "ada\n", "a" * 257])
def test_new_for_nobody(person: str, place: Path):
    """A name must be one."""
    said = type_in("keys", "new", "--as", person, "--out", "k")

    assert said.exit_code == 1
    assert "names nobody" in said.stderr
    assert not list(place.iterdir())


def test_public():
    """The public half can be had again."""
    shown = new_key("ada@example.com", "--role", "finance")

    assert type_in("keys", "public", "ada.json").stdout == shown.read_text()
    assert "cannot be signed with: it is no private Ed25519 key" in one_sentence(type_in("keys", "public", str(shown)))


def test_trust():
    """A public key is added, and how workers come to know of the file is said; the second time changes nothing."""
    shown = new_key("ada@example.com", "--role", "finance")

    first = type_in("keys", "trust", str(shown), "--in", TEAM)
    text = Path(TEAM).read_text()
    second = type_in("keys", "trust", str(shown), "--in", TEAM)

    kid = trusted()[0]["kid"]
    assert first.stdout == f"ada@example.com (finance) may decide with the key {kid}, from now on. It is in '{TEAM}'.\n"
    assert f'[[approvers]]\nkeys = "{TEAM}"\n' in first.stderr
    assert second.stdout.endswith("already; nothing was changed.\n")
    assert Path(TEAM).read_text() == text
    assert open_verifier([Approver(keys=TEAM)])


def test_trust_as_the_settings_say():
    """Where the settings name the file it need not be named."""
    Path("mainspring.toml").write_text(f'[[approvers]]\nkeys = "{TEAM}"\n')
    result = type_in("keys", "trust", str(new_key("ada@example.com")))

    assert (result.exit_code, result.stderr) == (0, "")
    assert [key["sub"] for key in trusted()] == ["ada@example.com"]


def test_trust_from_standard_input():
    """A public key may come through a pipe."""
    from typer.testing import CliRunner

    from mainspring.cli import app

    text = new_key("ada@example.com").read_text()
    result = CliRunner().invoke(app, ["keys", "trust", "-", "--in", TEAM], input=text)

    assert result.exit_code == 0
    assert [key["sub"] for key in trusted()] == ["ada@example.com"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "'key' is no public key: it is not JSON."),
        ("[]", "it holds no keys"),
        ('{"keys": []}', "'key' holds no key."),
        (json.dumps(make(sub="ada")), "cannot be trusted: it is a private key"),
        (json.dumps(public(make())), "cannot be trusted: it has no member 'sub'"),
        (json.dumps({**public(make(sub="ada")), "kid": 3}), "cannot be trusted: it has no member 'kid'"),
        (json.dumps({**public(make(sub="ada")), "x": "AA"}), "cannot be trusted: it is no public key that signs"),
        (json.dumps({"kty": "oct", "kid": "k", "sub": "ada"}), "cannot be trusted: it is no public key that signs"),
    ],
)
def test_trust_nothing_else(text: str, why: str, place: Path):
    """What is no public key with an owner is not added, and the sentence says why, and nothing of a private one."""
    (place / "key").write_text(text)

    said = one_sentence(type_in("keys", "trust", "key", "--in", TEAM))

    assert why in said
    assert not (place / TEAM).exists()


def test_trust_without_a_file():
    """Where the settings name no file the sentence says how to name one."""
    said = one_sentence(type_in("keys", "trust", str(new_key("ada@example.com"))))

    assert said == (
        "Error: The settings name no file of personal keys, so say which one it is: --in policies/approvers.jwks.json\n"
    )


def test_trust_for_other_roles():
    """A key does not quietly get other roles, nor another owner."""
    shown = new_key("ada@example.com")
    type_in("keys", "trust", str(shown), "--in", TEAM)
    shown.write_text(json.dumps({**json.loads(shown.read_text()), "roles": ["board"]}))

    said = one_sentence(type_in("keys", "trust", str(shown), "--in", TEAM))

    assert "as that of 'ada@example.com', with other members" in said
    assert "roles" not in trusted()[0]


def test_list():
    """The list has everybody who is trusted, and never a secret."""
    Path("mainspring.toml").write_text(
        f'[[approvers]]\nkeys = "{TEAM}"\n[[approvers]]\nissuer = "https://login.example.com"\nkeys = "https://x.example"\n'
    )
    assert type_in("keys", "list").stdout.startswith("-  whom https://login.example.com names")
    type_in("keys", "trust", str(new_key("ada@example.com", "--role", "finance")))
    type_in("keys", "rotate")
    type_in("keys", "rotate")

    lines = type_in("keys", "list").stdout.splitlines()

    assert [line.split("  ")[1].strip() for line in lines if line[0] != "-"] == [
        "ada@example.com (finance)",
        "Mainspring itself",
        "Mainspring itself, signs",
    ]
    assert not any(json.loads(Path("ada.json").read_text())["d"] in line for line in lines)


def test_list_of_nobody():
    """Where nobody is trusted the list says how to begin."""
    assert "Nobody is trusted yet. 'mainspring keys new" in type_in("keys", "list").stdout


def test_remove():
    """A key that is taken out is trusted no more; a name that is none is answered with those there are."""
    for person in ("ada@example.com", "bob@example.com"):
        type_in("keys", "trust", str(new_key(person)), "--in", TEAM)
    ada, bob = trusted()

    said = one_sentence(type_in("keys", "remove", f"{ada['kid']}x", "--in", TEAM))
    assert f"Did you mean '{ada['kid']}'?" in said
    result = type_in("keys", "remove", ada["kid"], "--in", TEAM)

    assert result.stdout.startswith(f"ada@example.com may not decide with the key {ada['kid']} any more.")
    assert trusted() == [bob]


def test_rotate(place: Path):
    """A rotation adds a key; the old one can be taken out then, the one that signs cannot."""
    type_in("keys", "rotate")
    file = place / "state" / "approval-keys.json"
    [old] = open_approval_keys(file).public()
    assert "is the one that signs" in one_sentence(type_in("keys", "remove", old["kid"]))

    assert type_in("keys", "rotate").exit_code == 0
    assert type_in("keys", "remove", old["kid"]).stdout == (
        f"The key {old['kid']} of Mainspring itself is trusted no more.\n"
    )
    assert file.stat().st_mode & 0o077 == 0
    assert [each["kid"] for each in open_approval_keys(file).public()] != [old["kid"]]


@workflow.defn(name="desk")
class Desk:
    """What a run is to a client: it tells what waits, and takes decisions; this one remembers them."""

    def __init__(self) -> None:
        self.taken: list[list[Any]] = []

    @workflow.run
    async def run(self) -> None:
        """Wait until it is stopped."""
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def waiting(self) -> list[Request]:
        """One request of a route that asks who decides, and one of none."""
        asked = Request(
            id="1", kind="approval", step="1", agent="desk", tool="wire", args={}, args_digest="", rule="", reason="",
            asked=0, deadline=0, binding=BINDING,
        )  # fmt: skip
        return [asked, asked.model_copy(update={"id": "2", "binding": ""})]

    @workflow.query
    def decisions(self) -> list[list[Any]]:
        """Which update was sent, with which form."""
        return self.taken

    @workflow.update(dynamic=True)
    async def take(self, name: str, args: Sequence[RawValue]) -> str:
        """Take anything."""
        self.taken.append([name, workflow.payload_converter().from_payload(args[0].payload)])
        return "Recorded."


@pytest.fixture
async def desk(
    mainspring: Bench, temporal_server: DevServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """A run that waits for people who have to say who they are."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server.address)
    queue = mainspring.settings().task_queue
    worker = Worker(mainspring.client, task_queue=queue, workflows=[Desk], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        handle = await mainspring.client.start_workflow("desk", id=f"desk-{queue}", task_queue=queue)
        yield handle
        await handle.terminate()


async def sent(desk: WorkflowHandle[Any, Any]) -> tuple[str, dict[str, Any]]:
    """The last update that came, and its form."""
    taken = await desk.query("decisions")
    return taken[-1][0], taken[-1][1]


@pytest.mark.parametrize(
    ("arguments", "update", "form", "choice"),
    [
        (["approve"], "approve", {"comment": ""}, "approve"),
        (["approve", "--args", '{"cents": 4}'], "approve", {"comment": "", "args": {"cents": 4}}, "approve"),
        (["deny", "--reason", "no"], "deny", {"comment": "no"}, "deny"),
        (["deny", "--stop"], "deny", {"comment": "", "stop": True}, "stop"),
        (["answer", "not-happened"], "answer", {"outcome": "not-happened"}, "not happened"),
        (["answer", "give-up"], "answer", {"outcome": "give-up"}, "give up"),
        (["answer", "--text", "On Monday."], "answer", {"answer": "On Monday."}, "answer"),
        (["take-over", "--text", "I do."], "take over", {"answer": "I do."}, "take over"),
        (
            ["reschedule", "--deadline", "2h", "--remind", "30m", "--escalate", "1h"],
            "reschedule",
            {"deadline": "2h", "remind": "30m", "escalate": "1h"},
            "reschedule",
        ),
        (["reschedule", "--deadline", "2h"], "reschedule", {"deadline": "2h"}, "reschedule"),
    ],
)
async def test_signed_decisions(
    arguments: list[str], update: str, form: dict[str, Any], choice: str, desk: WorkflowHandle[Any, Any]
):
    """A decision with a key carries a token for this request and this decision, of the key's owner, for minutes."""
    type_in("keys", "trust", str(new_key("ada@example.com")), "--in", TEAM)
    verifier = open_verifier([Approver(keys=TEAM)])
    command, *options = arguments

    result = await typed(command, desk.id, "1", *options, "--key", "ada.json")

    assert result.stdout == "Recorded.\n", result.stderr
    name, came = await sent(desk)
    token, now = came.pop("token"), time.time()
    assert (name, came) == (update, {"request": "1", **form})
    digest = form_digest(choice, came)
    found = await verifier.verify(token, binding=BINDING, form=digest, now=now)
    assert found.person == "ada@example.com"
    for another in (form_digest("approve", {"comment": "another"}), ""):
        with pytest.raises(TokenError, match="for another decision"):
            await verifier.verify(token, binding=BINDING, form=another, now=now)
    with pytest.raises(TokenError, match="has expired"):
        await verifier.verify(token, binding=BINDING, form=digest, now=now + 361)


async def test_without_a_key(desk: WorkflowHandle[Any, Any]):
    """Without a key nothing is signed."""
    await typed("deny", desk.id, "1", "--reason", "no")

    assert await sent(desk) == ("deny", {"request": "1", "comment": "no"})


@pytest.fixture
def token_file(place: Path) -> Path:
    """A file with a token in it, and a line break after it."""
    (place / "token").write_text("a.b.c\n")
    return place / "token"


@pytest.mark.parametrize("given", ["a.b.c", " a.b.c\n", "@token"])
async def test_a_token_from_elsewhere(given: str, desk: WorkflowHandle[Any, Any], token_file: Path):
    """A token of an identity provider is passed on as it is, also from a file."""
    await typed("approve", desk.id, "1", "--token", given)

    assert (await sent(desk))[1]["token"] == "a.b.c"


async def test_a_request_that_is_not_there(desk: WorkflowHandle[Any, Any]):
    """Nothing is signed for a request that does not wait."""
    new_key("ada@example.com")
    said = one_sentence(await typed("approve", desk.id, "7", "--key", "ada.json"))

    assert said == "Error: There is no request 7. Waiting: request 1 (wire), request 2 (wire).\n"
    assert await desk.query("decisions") == []


async def test_a_request_that_asks_nobody(desk: WorkflowHandle[Any, Any]):
    """Nor for one that takes no token."""
    new_key("ada@example.com")
    said = one_sentence(await typed("approve", desk.id, "2", "--key", "ada.json"))

    assert "takes no token. Leave '--key' out." in said


async def test_a_key_that_is_none(desk: WorkflowHandle[Any, Any]):
    """Who gives the public half is told so."""
    shown = new_key("ada@example.com")

    assert "cannot be signed with" in one_sentence(await typed("approve", desk.id, "1", "--key", str(shown)))
    assert "'gone' cannot be read" in one_sentence(await typed("approve", desk.id, "1", "--key", "gone"))
    assert await desk.query("decisions") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("approve", "r", "1", "--key", "k", "--token", "t"), "give one of them"),
        (("approve", "r", "1", "--token", "@gone"), "'gone' cannot be read"),
        (("approve", "r", "1", "--token", "-"), "there is no token there"),
        (("answer", "r", "1"), "give one of them"),
        (("answer", "r", "1", "happened", "--text", "x"), "give one of them"),
    ],
)
def test_options_that_do_not_fit(arguments: tuple[str, ...], why: str):
    """What cannot be meant is refused before anything is asked of a server."""
    result = type_in(*arguments)

    assert result.exit_code == 2
    assert why in " ".join(result.stderr.split())
