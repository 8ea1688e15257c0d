"""What a step of a sum leads to, checked whole: the product that is opened, and the total that it opens to.

A party, the aggregator and an auditor come to the same: all is deterministic, and what a party sent itself it need not
prove to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from federation.crypto.paillier import ciphertexts, threshold
from federation.crypto.paillier.packing import BadPlaintext
from federation.crypto.paillier.spreading import in_runs
from federation.crypto.paillier.threshold import BadPartial
from federation.domain.job import Blame
from federation.errors import JobFailed, ProtocolViolation, Unavailable
from federation.protocols import bundles
from federation.protocols.events import Parcel, Release
from federation.protocols.paillier_sum import checks
from federation.protocols.paillier_sum.messages import Cipher, Partial
from federation.protocols.paillier_sum.terms import Terms

HINT = (
    "all holders of the joint key are needed: run it again when they are there, or with masks (--protection masks), "
    "which do without a lost party"
)


class Unreadable(ValueError):
    """What was opened, rightly, is no sum of packed numbers: one of the parties encrypted something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Everybody's ciphertexts, checked and multiplied.

    Attributes:
        product: ciphertexts of the sums.
        set_hash: what an answer to them is bound to.
    """

    terms: Terms
    product: tuple[int, ...]
    set_hash: bytes


def collected(terms: Terms, parcels: Sequence[Parcel], relay: str, mine: Cipher | None = None) -> Collected:
    """Return the product of everybody's ciphertexts: one message each, every proof checked. Raises ProtocolViolation.

    Args:
        mine: what a party said itself: it must be there unchanged, and its proof is known to hold.
    """
    found = bundles.one_each(terms.setup, parcels, relay, "ciphers", terms.setup.least)
    if mine is not None and found[mine.party].message.value != mine:
        raise ProtocolViolation(relay, phase="ciphers", expected="my own ciphertexts unchanged", got="other ones")
    columns = {party: checks.cipher(terms, parcel, relay) for party, parcel in found.items()}
    shown = {
        party: parcel.message.value.proof
        for party, parcel in found.items()
        if isinstance(parcel.message.value, Cipher) and parcel.message.value != mine
    }

    def look(run: Sequence[str]) -> list[str]:
        for party in run:
            checks.known(terms, party, columns[party], shown[party])
        return []

    in_runs(list(shown), look)
    return multiplied(terms, found, columns)


def multiplied(terms: Terms, found: Mapping[str, Parcel], columns: Mapping[str, Sequence[int]]) -> Collected:
    """Return the product of checked ciphertexts; everybody's are there, in party order."""
    return Collected(
        terms=terms,
        product=tuple(ciphertexts.product(terms.joint.public.n, list(columns.values()))),
        set_hash=terms.set_hash(parcel.message.digest for parcel in found.values()),
    )


def opened(sums: Collected, parcels: Sequence[Parcel], relay: str, mine: Partial | None = None) -> Release:
    """Return the total that everybody's answers open, every proof checked.

    Args:
        mine: what a party said itself.

    Raises:
        ProtocolViolation: an answer that is not what an honest party would have sent.
        Unreadable: all are, and make up no sum of packed numbers.
    """
    terms = sums.terms
    found = bundles.one_each(terms.setup, parcels, relay, "partials", terms.setup.least)
    if mine is not None and found[mine.party].message.value != mine:
        raise ProtocolViolation(relay, phase="partials", expected="my own answers unchanged", got="other ones")
    answers = {party: checks.partial(terms, sums.set_hash, parcel, relay) for party, parcel in found.items()}
    shown = {
        party: parcel.message.value.proof
        for party, parcel in found.items()
        if isinstance(parcel.message.value, Partial) and parcel.message.value != mine
    }
    return released(sums, answers, shown)


def released(sums: Collected, answers: Mapping[str, Sequence[int]], shown: Mapping[str, bytes]) -> Release:
    """Return the total that checked answers open, after a look at these proofs. Raises as `opened`."""
    terms = sums.terms
    checks.unproved(terms, sums.product, sums.set_hash, answers, shown)
    parties = terms.setup.parties
    try:
        plaintexts = threshold.combine(terms.joint, sums.product, answers)
        numbers = terms.slots.unpack(plaintexts, len(parties), terms.spec.length)
    except (BadPartial, BadPlaintext) as fault:
        raise Unreadable(str(fault)) from None
    return Release.of(terms.total(numbers), parties)


def absent(names: Sequence[str], what: str, to_whom: str = "") -> tuple[Blame, ...]:
    """Return the blames where a sum ends because somebody was silent: it never goes on without him."""
    return tuple(
        Blame(
            party=name,
            code=Unavailable.code,
            message=f"{name} did not give its {what}{to_whom} before the deadline; nobody may be missing in this sum",
            hint=HINT,
        )
        for name in names
    )


def nobody(fault: Unreadable) -> Blame:
    """Return the blame where a sum was opened rightly and is no sum: whose number it was, nobody can tell."""
    return Blame(
        party="",
        code=JobFailed.code,
        message=f"the opened total is no sum of the numbers that were agreed on ({fault}); a party encrypted others",
        hint="no proof shows a number's range: ask the parties to check what they encrypted",
    )
