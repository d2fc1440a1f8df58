"""The frozen definitions a run carries: what `admit` resolved, and nothing changes afterwards."""

from typing import Literal

from mainspring.core.canonical import Json, Value
from mainspring.core.routes import Route

Effect = Literal["read", "idempotent", "once"]
Mode = Literal["step", "turn", "fast"]
"""How durable the steps are: each an activity; or `read` tools as local activities; or model calls too."""
Shortening = Literal["trim", "summarise"]
"""How a thread that outgrows the context window is made shorter: the oldest is left out, or summarised by the model."""


class ToolSpec(Value):
    """A tool as the model, the rules and the workflow see it. `timeout` is in seconds.

    `agent` names the agent that answers, where the tool is another agent. `mode` overrides the agent's. `returns` and
    `accepts` are labels (`core.labels`): of its results, and of what its arguments may be made of without a person.
    `opens`: it is given what tokens in its arguments stand for. `asks`: a person answers it, and nothing is run.
    """

    name: str
    description: str
    input_schema: dict[str, Json]
    result_schema: dict[str, Json] | None = None
    effect: Effect
    timeout: float = 30.0
    agent: str = ""
    mode: Mode | None = None
    returns: str = ""
    accepts: str = ""
    opens: bool = False
    asks: bool = False


PLAYBOOK = "playbook"
"""The model that follows an agent's playbook."""
BASE = "the rules that every agent has"
"""What these are called where a file's name would stand."""


class RuleText(Value):
    """The text of a rule file, where it came from, and what it is: the agent's own, or a part of it."""

    source: str
    text: str
    role: Literal["", "base", "included", "overlay"] = ""


class AgentSpec(Value):
    """One agent of a run. `rules` and `playbook` are the texts of the files, with where they came from.

    `base` is the text of the rules that every agent has, as they were then; `parts` are the files that the rules
    include, and those of the run's tenant. `input` is the label of what the user says; `cleared` the most secret that
    its models may be given. `routes` are those of its requests to people.

    `deadline` (seconds) and `deny_reasons` are the rule file's settings for approvals. `context` is how many
    tokens the model may be given (0: as many as its window has). A field that is not recorded has the meaning it
    had before the field existed, so defaults here never change.
    """

    name: str
    description: str = ""
    instructions: str
    models: tuple[str, ...]
    tools: tuple[ToolSpec, ...] = ()
    rules: str = ""
    rules_source: str = ""
    deadline: float = 86400.0
    deny_reasons: tuple[str, ...] = ()
    playbook: str = ""
    playbook_source: str = ""
    result_schema: dict[str, Json] | None = None
    max_steps: int = 20
    model_timeout: float = 120.0
    mode: Mode = "step"
    context: int = 0
    shorten: Shortening = "trim"
    base: str = ""
    parts: tuple[RuleText, ...] = ()
    input: str = ""
    cleared: str = ""
    routes: tuple[Route, ...] = ()

    @property
    def rule_texts(self) -> tuple[RuleText, ...]:
        """Everything that the agent's rules are made of: what every agent has, what its file includes, its file."""
        base = (RuleText(source=BASE, text=self.base, role="base"),) if self.base else ()
        own = (RuleText(source=self.rules_source, text=self.rules),) if self.rules else ()
        return (*base, *self.parts, *own)

    def tool(self, name: str) -> ToolSpec | None:
        """The tool of that name, if the agent has it."""
        return next((t for t in self.tools if t.name == name), None)


class Spec(Value):
    """Everything a run is defined by: the type that was started and every agent it may reach."""

    name: str
    kind: Literal["agent", "graph"]
    agents: tuple[AgentSpec, ...]
    turn: int
    """Version of the turn table (`core.turn.TABLES`)."""

    def agent(self, name: str) -> AgentSpec:
        """The agent of that name.

        Raises:
            KeyError: the run was admitted without it.
        """
        for agent in self.agents:
            if agent.name == name:
                return agent
        raise KeyError(name)
