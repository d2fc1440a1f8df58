"""Language models: any langchain-core chat model as a `Model`. Activity side.

`open_model("openai:gpt-…")` makes one by name; `ChatModel(chat, provider=…)` takes one you have made yourself.
Importing this loads no provider and no langchain: each function imports what it needs.
"""

from mainspring.adapters.chat_model.limits import Limits
from mainspring.adapters.chat_model.model import ChatModel, open_model

__all__ = ["ChatModel", "Limits", "open_model"]
