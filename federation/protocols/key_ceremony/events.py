"""What happens to a holder in a ceremony, and what it wants done.

Begin, Delivered, Proceed, DeadlinePassed, Stopped  ->  Send, Progress, Boundary, Done, Abort

A driver stores an event before it steps. At a `Boundary` it may replace every event since the transfers were set up by
the `Proceed` that comes with it: batches do not depend on each other, and what they drew comes from the entropy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from federation.crypto.paillier.threshold import JointKey, KeyShare
from federation.domain.job import Blame
from federation.protocols.key_ceremony.estimate import Estimate
from federation.protocols.key_ceremony.messages import Word
from federation.protocols.key_ceremony.terms import Ceremony

# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """Take part. `entropy` is 32 fresh secret bytes for this ceremony and for no other."""

    ceremony: Ceremony
    me: str
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One holder's word, whose signature was verified, and what was in the box for this party, unsealed.

    Attributes:
        sender: the member whose key signed.
    """

    sender: str
    word: Word
    box: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The words of all other holders in one step, in any order."""

    heard: tuple[Heard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceed:
    """Multiply the next batch.

    Attributes:
        batch: its number, from 1.
        tries: candidates that were rejected before it.
        place: number of its first step.
        seen: digest over all words before it, 32 bytes.
    """

    batch: int
    tries: int
    place: int
    seen: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    """No longer wait: `missing` did not say their words; when empty, all others."""

    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The ceremony ended elsewhere; secrets are let go of."""

    blames: tuple[Blame, ...]


Event: TypeAlias = Begin | Delivered | Proceed | DeadlinePassed | Stopped


# --- effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Sign `word` under its domain, and send it to one holder with `box`, sealed to that holder alone."""

    to: str
    word: Word
    box: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """So far no candidate was a modulus.

    Attributes:
        batch: batches that are done.
        tries: candidates that were rejected; they do not make the next one likelier.
        transcript: digest over all words so far, 32 bytes: what is logged.
    """

    batch: int
    tries: int
    transcript: bytes
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """Nothing is under way: store `proceed`, forget the batch before it, give it back as the next event."""

    proceed: Proceed


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The key, and this holder's share of it, which is sealed before anything else is done.

    Attributes:
        tries: candidates in all, the modulus included.
        transcript: digest over all words, 32 bytes: what is logged.
    """

    key: JointKey
    share: KeyShare = field(repr=False)
    tries: int
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """There is no key. Nothing of this ceremony may be used again."""

    blames: tuple[Blame, ...]


Effect: TypeAlias = Send | Progress | Boundary | Done | Abort
