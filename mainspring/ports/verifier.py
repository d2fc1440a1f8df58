"""The verifier port: tells who signed a token, and that it was made for the decision it came with."""

from abc import ABC, abstractmethod

from mainspring.core.approvals import Verified


class Verifier(ABC):
    """Checks tokens (JWT, RFC 7519) against the keys of those who are trusted to say who somebody is."""

    @abstractmethod
    async def verify(self, token: str, *, binding: str, form: str, now: float) -> Verified:
        """Who the token says decides.

        `binding` (`Request.binding`) must be its claim `nonce`. Where it has the claim `form`, that must be `form`, the
        digest of what is decided (`core.approvals.form_digest`). `now` is in seconds since 1970.

        Raises:
            TokenError: it is forged, expired, not valid yet, for another audience, request or decision, of an issuer
                or key that is not trusted, or no token at all; the message says which, and holds nothing of it.
        """
