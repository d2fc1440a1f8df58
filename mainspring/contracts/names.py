"""Names that are in histories, and so never change."""

TASK_QUEUE = "mainspring"

ADMIT = "admit"
CALL_MODEL = "call_model"
CALL_TOOL = "call_tool"
CLOSE = "close"

APPROVE = "approve"
DENY = "deny"
ANSWER = "answer"
WAITING = "waiting"

WAITS_FOR = "MainspringWaitsFor"
"""Search attribute (Keyword): what a running run waits for a person to decide; unset when it does not."""
