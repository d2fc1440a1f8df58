"""The playbook as a model: rule-based, no key, no network, the same answer every time.

It says what it is: `model` is "playbook", and it counts no tokens because it uses none.
"""

import json
from functools import lru_cache

from mainspring.core.canonical import canonical
from mainspring.core.playbook import Table, parse
from mainspring.core.spec import ToolSpec
from mainspring.errors import ModelError, PolicyError
from mainspring.ports.model import Model, ModelReply, ModelRequest


class PlaybookModel(Model):
    """Follows the decision table of the agent's playbook."""

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer by the first row that fits.

        Raises:
            ModelError: the agent has no playbook, or a row cannot be evaluated; never retryable.
        """
        if not request.playbook:
            raise ModelError(
                f"agent {request.agent!r} has no playbook, so the model 'playbook' cannot answer for it. "
                "Give it one with Agent(playbook='policies/….playbook.yaml'), or choose another model.",
                retryable=False,
            )
        tools = canonical([tool.model_dump(mode="json") for tool in request.tools])
        try:
            table = _table(
                request.playbook, request.playbook_source, request.agent, tools, canonical(request.result_schema)
            )
        except PolicyError as error:
            raise ModelError(str(error), retryable=False) from error
        reply = table.reply(request.messages)
        return ModelReply(text=reply.text, calls=reply.calls, model="playbook", provider="mainspring", why=reply.why)


@lru_cache(maxsize=64)
def _table(playbook: str, source: str, agent: str, tools: str, result_schema: str) -> Table:
    """Compile once for each playbook and tool set (some 100 ms; a reply takes less than one)."""
    specs = [ToolSpec.model_validate(tool) for tool in json.loads(tools)]
    return Table(parse(playbook, source), specs, json.loads(result_schema), agent)
