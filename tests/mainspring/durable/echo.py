"""A model that says again what it hears: for tests of what reaches a model, and when."""

import asyncio

from mainspring.core.messages import Message
from mainspring.ports.model import Model, ModelReply, ModelRequest


class Echo(Model):
    """Answers with what the user said last, and how many messages of theirs there were.

    It does so once `go` is set, which it is at first; `asked` tells that it has been asked.
    """

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer once it may."""
        self.requests.append(request)
        self.asked.set()
        await self.go.wait()
        said = [message.text for message in request.messages if message.role == "user"]
        return ModelReply(text=f"{said[-1]} ({len(said)})", model="echo", provider="echo")

    def heard(self) -> list[Message]:
        """What the model was given last."""
        return list(self.requests[-1].messages)

    def texts(self) -> list[str]:
        """The texts of that."""
        return [message.text for message in self.heard()]
