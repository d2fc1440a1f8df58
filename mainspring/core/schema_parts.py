"""Forms that the JSON Schemas of files are made of. Pure."""

from typing import Any

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
NAMES: dict[str, Any] = {"anyOf": [TEXT, {**TEXTS, "minItems": 1}]}
TRUTH: dict[str, Any] = {"type": "boolean"}
DURATION: dict[str, Any] = {"type": "string", "pattern": "^[1-9][0-9]{0,3}[smhd]$"}
ID: dict[str, Any] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,63}$"}


def described(keys: dict[str, tuple[dict[str, Any], str]]) -> dict[str, dict[str, Any]]:
    """The keys of a mapping, each by its form and its words, as `properties`."""
    return {name: {**form, "description": words} for name, (form, words) in keys.items()}
