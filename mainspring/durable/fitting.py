"""Workflow side. Whether arguments fit a tool's schema, for what a person types. Only where an update is let in.

A replay does not come here: it has recorded which updates were let in.
"""

from typing import Any, cast

import jsonschema
import jsonschema.exceptions

from mainspring.core.canonical import Json
from mainspring.errors import did_you_mean

_best_match: Any = cast("Any", jsonschema.exceptions).best_match


def misfit(args: dict[str, Json], schema: dict[str, Json]) -> str:
    """Why the arguments do not fit ("" where they do), with the name of the one that is wrong."""
    known: Any = schema.get("properties") or {}
    for name in args:
        if name not in known:
            return f"it has no argument {name!r}.{did_you_mean(name, known)}"
    validator: Any = jsonschema.Draft202012Validator(schema)
    error: Any = _best_match(validator.iter_errors(args))
    if error is None:
        return ""
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place or 'the arguments'}: {error.message}."
