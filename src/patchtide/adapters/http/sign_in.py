"""Identity from the Authorization header alone, and the rates that go with it.

No other header, and nothing in the body, says who asks; a proxy's headers are not even read.
"""

from __future__ import annotations

from collections.abc import Iterable

from patchtide.adapters.http.limits import Buckets, Rates
from patchtide.domain.access.credentials import ApiTokenText
from patchtide.domain.access.principals import Anonymous, Gate, Policy, Principal
from patchtide.domain.errors import Unauthenticated
from patchtide.server.authentication import ApiTokens

_ANYBODY = frozenset({Gate.PUBLIC, Gate.PUBLIC_VERIFIED, Gate.ONE_TIME_CODE})


class SignIn:
    """Turns a request into a principal, as often as its caller may ask."""

    def __init__(self, api_tokens: ApiTokens, rates: Rates) -> None:
        self._api_tokens = api_tokens
        self._holders = Buckets(rates.holder)
        self._anonymous = Buckets(rates.anonymous)
        self._failures = Buckets(rates.failure)
        self._claims = Buckets(rates.claim)

    async def principal(
        self, headers: Iterable[tuple[bytes, bytes]], *, caller: str, policy: Policy
    ) -> Principal:
        """Return who asks.

        Raises:
            Unauthenticated: there is a credential, and it is not valid.
            TooOften: the caller has used up its rate.
        """
        said = [value for name, value in headers if name == b"authorization"]
        if policy in _ANYBODY or not said:
            (self._claims if policy is Gate.ONE_TIME_CODE else self._anonymous).take(caller)
            return Anonymous()
        return await self._holder(said, caller)

    async def _holder(self, said: list[bytes], caller: str) -> Principal:
        text = _token(said)
        # Somebody who guesses must not shut out those who share his address: a token that was
        # found valid just now is not held up by the failures of others.
        if text is None or not self._api_tokens.remembers(text):
            self._failures.look(caller)
        try:
            if text is None:
                raise Unauthenticated
            holder = await self._api_tokens.holder(text)
        except Unauthenticated:
            self._failures.take(caller)
            raise
        self._holders.take(holder.token_id)
        return holder


def _token(said: list[bytes]) -> ApiTokenText | None:
    if len(said) != 1:
        return None
    scheme, _, token = said[0].decode("latin-1").partition(" ")
    return ApiTokenText.read(token) if scheme.lower() == "bearer" else None
