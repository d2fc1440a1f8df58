"""The rules that every agent has. A run carries them as they were when it was admitted."""

TEXT = """\
rules:
  - id: base.untrusted-arguments
    point: tool_call
    when: size(flow.untrusted) > 0
    verdict: ask
    reason: >-
      Something in this call comes from content that anybody may have written, and the tool does not take that
      without a person.

  - id: base.uncleared-arguments
    point: tool_call
    when: size(flow.uncleared) > 0
    verdict: ask
    reason: Something in this call is more secret than the tool is cleared for.
"""
