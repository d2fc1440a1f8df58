"""Names that are in histories, and so never change."""

TASK_QUEUE = "mainspring"

ADMIT = "admit"
CALL_MODEL = "call_model"
CALL_TOOL = "call_tool"
COMPACT = "compact"
SEAL = "seal"
CLOSE = "close"
IDENTIFY = "identify"
NOTIFY = "notify"

APPROVE = "approve"
DENY = "deny"
ANSWER = "answer"
TAKE_OVER = "take over"
RESCHEDULE = "reschedule"
WAITING = "waiting"

SEND = "send"
REPLY = "reply"
STEER = "steer"
PAUSE = "pause"
RESUME = "resume"
FINISH = "finish"
MESSAGES = "messages"

LOCAL = "local activities"
"""The patch since which steps may be local activities; runs without it are of before."""

WINDOW = "window"
"""Marks, in its metadata, a payload with messages that history has already: what is taken along when a run continues as
new, what stands for messages that were left out."""

WAITS_FOR = "MainspringWaitsFor"
"""Search attribute (Keyword): what a running run waits for a person to decide; unset when it does not."""

DECIDERS = "MainspringDeciders"
"""Search attribute (KeywordList): the groups and roles of those who may decide what waits; unset when nothing does."""
DUE = "MainspringDue"
"""Search attribute (Datetime): the first deadline of what waits."""
SEARCH_ATTRIBUTES = {WAITS_FOR: "Keyword", DECIDERS: "KeywordList", DUE: "Datetime"}
"""Ours, with their types as Temporal's command line spells them."""
WAITING_RUNS = f"{WAITS_FOR} IS NOT NULL AND ExecutionStatus = 'Running'"
"""The list query for runs that wait for a person."""
