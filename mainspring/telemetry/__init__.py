"""Traces as a projection: spans made from recorded facts, exported live or rebuilt from history, always the same.

Neither side: pure but for `export` and `trace_file`. Both the workflow side and the activity side may use it.
"""
