"""What a test of your agents needs: a scripted model, a real server, conformance suites. No key, no network."""

from mainspring.testing.openai_server import OpenAIServer
from mainspring.testing.scripted import ScriptedModel, call, calls, delay, fail, say

__all__ = ["OpenAIServer", "ScriptedModel", "call", "calls", "delay", "fail", "say"]
