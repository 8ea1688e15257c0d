"""Joint keys at the coordinator: the certificates of their holders, stored and served; it holds no share of any.

Whoever gets one verifies all holders' signatures again: the coordinator can withhold a key, and cannot make one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from federation.coordinator.store import Store
from federation.domain.job import digest
from federation.domain.roster import Roster
from federation.errors import ProtocolViolation
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import Certified, certified
from federation.wire.fields import canonical, few, parsed
from federation.wire.keys import MOST_HOLDERS
from federation.wire.v1 import coordinator_service_pb2


class JointKeys:
    """The joint keys that jobs may name, of one roster: those of earlier ones are not taken up.

    Args:
        store: keeps the signatures under the key's digest, and the digests in order.
        roster: whose signatures count.
    """

    def __init__(self, store: Store, roster: Roster) -> None:
        self._store, self._roster = store, roster
        self._known: dict[bytes, Certified] = {}
        self._count = 0
        for place in itertools.count():
            key = store.document(_place(place))
            document = None if key is None else store.document(key)
            if document is None:
                break
            self._count += 1
            try:
                found = certified(_signatures(document), roster, relay="the store")
            except ProtocolViolation:
                continue  # a holder has another identity since, or is no member any more
            self._known[found.digest] = found

    def keep(self, signatures: Iterable[m.Signed]) -> Certified:
        """Keep a key that all its holders signed; once more is no change. Raises ProtocolViolation as `certified`."""
        found = certified(signatures, self._roster, relay="a ceremony")
        if found.digest in self._known:
            return self._known[found.digest]
        self._store.put_document(found.digest, _written(found))
        self._store.put_document(_place(self._count), found.digest)
        self._count += 1
        self._known[found.digest] = found
        return found

    def of(self, key: bytes) -> Certified | None:
        """Return the key of this digest, also one whose epoch is over, or None if there is none."""
        return self._known.get(key)

    def all(self) -> tuple[Certified, ...]:
        """Return all of them, oldest first."""
        return tuple(self._known.values())


def _place(place: int) -> bytes:
    """Return under which name the store has the digest of the key at this place: its documents do not change."""
    return digest("federation/joint-keys/v1", place.to_bytes(8, "big"))


def _written(found: Certified) -> bytes:
    signatures = [convert.signed_to(one) for one in found.signatures]
    return canonical(coordinator_service_pb2.KeyCertificates(signatures=signatures))


def _signatures(document: bytes) -> tuple[m.Signed, ...]:
    found = parsed(coordinator_service_pb2.KeyCertificates, document)
    return tuple(convert.signed_from(one) for one in few(found.signatures, "signatures", MOST_HOLDERS))
