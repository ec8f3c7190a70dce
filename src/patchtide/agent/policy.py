"""What the site wants of this machine: its envelope and the fragments that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patchtide.agent.ports.content import Blobs
from patchtide.agent.ports.journal import PolicyStore
from patchtide.domain.sequencer.consent import Assigned
from patchtide.domain.sequencer.states import Order
from patchtide.wire.policy import (
    EnvelopeV1,
    FragmentV1,
    Keys,
    PolicyRefused,
    open_envelope,
    open_fragment,
    open_sealed,
    rollback_of,
)

MAX_FRAGMENT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Orders:
    """What an envelope comes to."""

    orders: tuple[Order, ...]
    restarts_per_day: int


class LocalPolicy:
    """The envelope in force; `keys` are those that may sign policy for this site."""

    def __init__(self, store: PolicyStore, *, blobs: Blobs, keys: Keys, client: bytes) -> None:
        self._store = store
        self._blobs = blobs
        self._keys = keys
        self._client = client

    def sequence(self) -> int:
        """Return the sequence of the envelope in force; 0: none."""
        envelope, _ = self._in_force()
        return envelope.sequence if envelope else 0

    def take(self, envelope: bytes, *, now: float) -> Orders:
        """Verify the envelope, fetch what it names, keep both, and return what stands.

        Raises:
            PolicyRefused: it is not for this machine, not signed, or from the past.
        """
        opened = open_envelope(
            envelope, keys=self._keys, client=self._client, sequence=self.sequence(), now=now
        )
        _, known = self._in_force()
        sealed = {name: known.get(name) or self._fetch(name) for name in opened.fragments}
        fragments = self._opened(opened, sealed)
        self._store.keep_policy(envelope, sealed)
        orders = (_order(name, part, opened) for name, part in fragments.items())
        return Orders(
            tuple(order for order in orders if order.updates), opened.limits.restarts_per_day
        )

    def assigned(self, order: str) -> Mapping[int, Assigned]:
        """Return what the envelope in force assigns under this order."""
        found = self._standing(order)
        if found is None:
            return {}
        envelope, fragment = found
        return {
            item.number: Assigned(
                number=item.number,
                revision=item.revision,
                files=frozenset(item.files),
                not_before=fragment.not_before,
                valid_until=envelope.valid_until,
                lease=envelope.lease,
                stopped=fragment.stopped,
            )
            for item in fragment.items
        }

    def rollbacks(self, order: str) -> Mapping[str, bytes]:
        """Return the publishers' leave to go back that came with this order, by package."""
        found = self._standing(order)
        sealed = found[1].rollbacks if found else ()
        said = ((rollback_of(data), data) for data in sealed)
        return {what.package: data for what, data in said if what is not None}

    def _standing(self, order: str) -> tuple[EnvelopeV1, FragmentV1] | None:
        envelope, sealed = self._in_force()
        name = next((n for n in sealed if n.hex() == order), None)
        if envelope is None or name is None:
            return None
        return envelope, open_fragment(sealed[name], keys=self._keys, named=envelope.fragments)

    def _in_force(self) -> tuple[EnvelopeV1 | None, Mapping[bytes, bytes]]:
        """Return the stored envelope and its fragments.

        What was made for an identity that this machine has no more, or by a site that it has left,
        is none: it must not stand in the way of what the site of today says.
        """
        stored, sealed = self._store.policy()
        if not stored:
            return None, {}
        try:
            envelope = open_sealed(stored, EnvelopeV1, keys=self._keys)
        except PolicyRefused:
            return None, {}
        return (envelope, sealed) if envelope.client == self._client else (None, {})

    def _fetch(self, name: bytes) -> bytes:
        return self._blobs.read(name, at_most=MAX_FRAGMENT_BYTES)

    def _opened(
        self, envelope: EnvelopeV1, sealed: Mapping[bytes, bytes]
    ) -> dict[bytes, FragmentV1]:
        return {
            name: open_fragment(data, keys=self._keys, named=envelope.fragments)
            for name, data in sealed.items()
        }


def _order(name: bytes, fragment: FragmentV1, envelope: EnvelopeV1) -> Order:
    """A fragment that was stopped orders nothing; a place that ran out begins nothing."""
    ends = min(envelope.valid_until, envelope.lease or envelope.valid_until)
    return Order(
        id=name.hex(),
        updates=() if fragment.stopped else tuple(item.number for item in fragment.items),
        not_before=float(fragment.not_before),
        valid_until=float(ends),
        may_restart=True,
        rollback=bool(fragment.rollbacks),
        emergency=fragment.emergency,
    )
