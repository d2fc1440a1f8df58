"""Keys that approvals are signed with: the engine's own, and those of people.

All are Ed25519 (RFC 8037), kept as JWK or JWKS (RFC 7517). Who verifies is elsewhere: `adapters.verifier`.
"""

from mainspring.adapters.approval_keys.own import ApprovalKeys, open_approval_keys
from mainspring.adapters.approval_keys.personal import (
    distrust,
    make_personal_key,
    read_personal_key,
    read_trusted,
    sign_as,
    trust,
)
from mainspring.adapters.approval_keys.signing import public

__all__ = [
    "ApprovalKeys",
    "distrust",
    "make_personal_key",
    "open_approval_keys",
    "public",
    "read_personal_key",
    "read_trusted",
    "sign_as",
    "trust",
]
