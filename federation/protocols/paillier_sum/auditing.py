"""What somebody who was not there checks of an opened sum, from what was kept of it: all that every party checked.

Nothing of it is secret, and nothing is taken on anybody's word: the ciphertexts prove who made them for which sum,
their product is computed again, the answers prove that they open it, and the figures follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from federation.errors import ProtocolViolation
from federation.protocols.events import Parcel, Release
from federation.protocols.paillier_sum import checking
from federation.protocols.paillier_sum.checking import Collected
from federation.protocols.paillier_sum.terms import Terms, joint_key
from federation.protocols.setup import Spec

Parcels: TypeAlias = Sequence[Parcel]  # of one step, with chunks; every signature is verified


def collected(spec: Spec, joint: bytes, ciphers: Parcels, relay: str) -> Collected:
    """Return the product of everybody's ciphertexts, every proof checked.

    Args:
        joint: `JointKey.to_bytes` of the key that the spec's setup names.

    Raises:
        Misuse: another key, or one that others than the parties hold.
        ProtocolViolation: what breaks, its phase "cipher" or "ciphers".
    """
    terms = Terms.of(spec, joint_key(joint, spec.setup))
    return checking.collected(terms, ciphers, relay)


def opened(sums: Collected, partials: Parcels, relay: str) -> Release:
    """Return the total that everybody's answers open, every proof checked.

    Raises:
        ProtocolViolation: what breaks, its phase "partial" or "partials"; "total" where right answers open to what is
            no sum of such numbers: no honest relay has released it.
    """
    try:
        return checking.opened(sums, partials, relay)
    except checking.Unreadable as fault:
        raise ProtocolViolation(relay, phase="total", expected="a sum of packed numbers", got=str(fault)) from None


def audited(spec: Spec, joint: bytes, ciphers: Parcels, partials: Parcels, total: bytes, relay: str) -> Release:
    """Return the total if it is the one that was released; from ciphertexts to figures, every step looked at.

    Args:
        total: what was released, as `Release.total`.

    Raises:
        Misuse: as `collected`.
        ProtocolViolation: as `collected` and `opened`; with phase "total" for figures that do not follow.
    """
    found = opened(collected(spec, joint, ciphers, relay), partials, relay)
    if found.total != total:
        raise ProtocolViolation(relay, phase="total", expected="the figures that the answers open", got="other figures")
    return found
