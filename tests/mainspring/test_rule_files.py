"""Rule files that are made of others: includes, tenants, and what is wrong with how they name one another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainspring import Agent, Facts, tool
from mainspring.definitions.rule_files import RuleFiles
from mainspring.errors import DefinitionError, PolicyError


@tool(effect="once", returns="trusted")
def pay(cents: int) -> str:
    """Pay."""
    return f"paid {cents}"


def rule(name: str, verdict: str = "deny") -> str:
    """A rule as a line of a file."""
    return f"  - {{id: {name}, point: tool_call, tool: pay, when: args.cents > 1, verdict: {verdict}, reason: No.}}\n"


@pytest.fixture
def clerk(tmp_path: Path) -> Callable[..., Agent[str]]:
    """Writes rule files, by name; gives an agent over the first."""

    def make(*, checks: tuple[Any, ...] = (), **files: str) -> Agent[str]:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text.replace("~", str(tmp_path)))
        rules = tmp_path / f"{next(iter(files))}.yaml"
        return Agent("clerk", instructions="Work.", tools=[pay], rules=rules, checks=checks)

    return make


def ids(agent: Agent[str], tenant: str = "") -> list[str]:
    """The files that a run of a tenant has the rules of, in their order, without those of the engine."""
    return [Path(text.source).stem for text in agent.spec("m", tenant).rule_texts[1:]]


def refusal(clerk: Callable[..., Agent[str]], **files: str) -> str:
    """What an agent over these files is refused with, its paths without their folder."""
    with pytest.raises(PolicyError) as caught:
        clerk(**files)
    return "\n".join(
        line.replace(str(Path(caught.value.source).parent) + "/", "") for line in str(caught.value).splitlines()
    )


def test_what_is_included_comes_first_and_once(clerk: Any) -> None:
    """A file that two others include is there once, before both."""
    agent = clerk(
        main=f"include: [~/left.yaml, ~/right.yaml]\nrules:\n{rule('m')}",
        left=f"include: ~/deep.yaml\nrules:\n{rule('l')}",
        right=f"include: [~/deep.yaml]\nrules:\n{rule('r')}",
        deep=f"rules:\n{rule('d')}",
    )

    assert ids(agent) == ["deep", "left", "right", "main"]


def test_a_tenants_rules_are_for_that_tenant(clerk: Any) -> None:
    """They come on top of all others, and another tenant does not have them."""
    agent = clerk(main="tenants: {acme: ~/acme.yaml}\nrules: []\n", acme=f"rules:\n{rule('a', 'ask')}")

    assert list(agent.tenants()) == ["acme"]
    assert (ids(agent), ids(agent, "other"), ids(agent, "acme")) == (["main"], ["main"], ["acme", "main"])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"main": "rules: []\ninclude: ~/gone.yaml\n"}, "main.yaml:2:10: there is no file '"),
        ({"main": "tenants:\n  acme: ~/gone.yaml\n"}, "main.yaml:2:9: there is no file '"),
        ({"main": "include: ~/a.yaml\n", "a": "\n\ninclude: [~/b.yaml]\n"}, "a.yaml:3:11: there is no file '"),
        ({"main": "include: ~/main.yaml\n"}, "main.yaml:1:10: 'main.yaml' includes itself."),
        (
            {"main": "include: ~/a.yaml\n", "a": "include: ~/b.yaml\n", "b": "rules: []\ninclude: ~/a.yaml\n"},
            "b.yaml:2:10: 'a.yaml' includes itself, by way of 'b.yaml'.",
        ),
        (
            {"main": "include: ~/a.yaml\n", "a": "include: ~/b.yaml\n", "b": "include: ~/main.yaml\n"},
            "b.yaml:1:10: 'main.yaml' includes itself, by way of 'a.yaml' and 'b.yaml'.",
        ),
        (
            {"main": f"include: ~/a.yaml\nrules:\n{rule('x')}", "a": f"rules:\n{rule('x')}"},
            "main.yaml:3:5: rule 'x' has the id of a rule in a.yaml:2.",
        ),
        (
            {"main": f"tenants: {{acme: ~/a.yaml}}\nrules:\n{rule('x')}", "a": f"rules:\n{rule('x')}"},
            "main.yaml:3:5: rule 'x' has the id of a rule in a.yaml:2.",
        ),
        (
            {"main": "tenants: {acme: ~/a.yaml}\n", "a": f"rules:\n{rule('x', 'allow')}"},
            "a.yaml:2:5: rule 'x': a tenant's rules may only make it stricter: ",
        ),
        (
            {"main": "include: ~/a.yaml\n", "a": "tenants: {}\n"},
            "a.yaml:1:1: a rule file that another includes has no key 'tenants'.",
        ),
        (
            {"main": "tenants: {acme: ~/a.yaml}\n", "a": "rules:\n" + rule("x").replace("args.cents", "args.cent")},
            "a.yaml:2:",
        ),
        ({"main": "include: ~/a.yaml\n", "a": ""}, "a.yaml: the file is empty."),
    ],
)
def test_how_files_name_one_another(clerk: Any, files: dict[str, str], said: str) -> None:
    """What is wrong is said at the line that names the file, or of the file that is wrong."""
    assert refusal(clerk, **files).startswith(said)


def test_a_file_that_is_no_text(clerk: Any, tmp_path: Path) -> None:
    """It is told like one that is not there."""
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")

    assert refusal(clerk, main="include: ~/bytes.yaml\n").endswith("cannot be read: it is no UTF-8 text.")


def test_the_own_file_is_missing(tmp_path: Path) -> None:
    """Then the definition is wrong, and no rule file."""
    with pytest.raises(DefinitionError, match=r"agent 'clerk': there is no file .*gone\.yaml"):
        RuleFiles(tmp_path / "gone.yaml", tmp_path, "agent 'clerk'", ())


def is_odd(facts: Facts) -> bool:
    """Say whether an amount is odd."""
    return int(str(facts.args["cents"])) % 2 == 1


def test_functions_are_known_by_their_names(clerk: Any) -> None:
    """A rule may name one that the agent has, and no other."""
    named = "rules:\n  - {id: a, point: tool_call, check: is_odd, verdict: deny, reason: No.}\n"
    assert clerk(main=named, checks=(is_odd,)).checks == {"is_odd": is_odd}

    with pytest.raises(PolicyError, match=r"no Python function 'is_od'\. Did you mean 'is_odd'\?"):
        clerk(main=named.replace("is_odd", "is_od"), checks=(is_odd,))
    with pytest.raises(PolicyError, match=r"no Python function 'is_odd'\. Pass it as Agent\(checks="):
        clerk(main=named)
    with pytest.raises(DefinitionError, match="has no name that a rule could use"):
        clerk(main=named, checks=(lambda facts: True,))  # pyright: ignore[reportUnknownLambdaType]
