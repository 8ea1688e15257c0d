"""Where a holder stands in a ceremony: frozen values, the bulk of them as bytes.

Numbers modulo many moduli are kept as little-endian 16-bit residues, (moduli, count).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeAlias

import numpy as np

from federation.crypto.ot import Forest, Pruned
from federation.crypto.paillier.threshold import JointKey
from federation.domain.job import digest
from federation.errors import Misuse, ProtocolViolation
from federation.protocols.key_ceremony.events import Heard, Proceed, Send
from federation.protocols.key_ceremony.messages import What, Word, box_digest
from federation.protocols.key_ceremony.residues import Plan, Residues, plan_of
from federation.protocols.key_ceremony.terms import Ceremony
from federation.protocols.secure_sum import Aborted, Awaits

Said: TypeAlias = tuple[tuple[Word, ...], ...]


class Split(Exception):
    """A holder has seen other words than we have: somebody said two things, or something was held back."""

    def __init__(self, party: str) -> None:
        super().__init__(party)
        self.party = party


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """What a holder knows in every step.

    Attributes:
        place: number of the step whose words are due.
        seen: digest over everybody's words before it.
        mine: its own word of this step.
        founding: everybody's words of the three steps that set transfers up.
        said: everybody's words since the batch began.
        proceed: how the batch began.
    """

    ceremony: Ceremony
    me: str
    entropy: bytes = field(repr=False)
    place: int = 0
    seen: bytes = bytes(32)
    mine: Word | None = None
    founding: Said = ()
    said: Said = ()
    proceed: Proceed | None = None

    @property
    def plan(self) -> Plan:
        """The moduli."""
        return plan_of(self.ceremony.bits)

    @property
    def others(self) -> tuple[str, ...]:
        """All other holders, in order."""
        return self.ceremony.others(self.me)

    @property
    def index(self) -> int:
        """Its place among the holders."""
        return self.ceremony.holders.index(self.me)

    @property
    def before(self) -> tuple[str, ...]:
        """The holders before it."""
        return self.ceremony.holders[: self.index]

    @property
    def after(self) -> tuple[str, ...]:
        """The holders after it."""
        return self.ceremony.holders[self.index + 1 :]

    @property
    def batch(self) -> int:
        """Number of the batch, 0 before the first."""
        return self.proceed.batch if self.proceed else 0

    def proceeding(self, proceed: Proceed) -> At:
        """Return where it stands as a batch begins."""
        return replace(self, place=proceed.place, seen=proceed.seen, said=(), proceed=proceed)

    def bodies(self, what: What) -> list[dict[str, bytes]]:
        """Return what everybody said to all in each step of this kind since the batch began."""
        return [{word.party: word.body for word in words} for words in self.said if words[0].what is what]

    def spoken(
        self, what: What, body: bytes = b"", boxes: Mapping[str, bytes] | None = None
    ) -> tuple[At, tuple[Send, ...]]:
        """Return where it stands once it has said this, and what to send."""
        given = boxes or {}
        word = Word(
            ceremony=self.ceremony.hash,
            party=self.me,
            place=self.place,
            what=what,
            seen=self.seen,
            boxes=tuple(box_digest(given.get(name, b"")) for name in self.others) if given else (),
            body=body,
        )
        sends = tuple(Send(to=name, word=word, box=given.get(name, b"")) for name in self.others)
        return replace(self, mine=word), sends

    def taken(self, what: What, heard: tuple[Heard, ...]) -> tuple[At, dict[str, Heard]]:
        """Return where it stands once it has heard the words of one step, and these in holder order.

        Raises:
            Misuse: not one word of each.
            ProtocolViolation: a word of another step, or a box that is not the one of its word.
            Split: somebody has seen other words.
        """
        found = {one.sender: one for one in heard}
        if len(found) != len(heard) or set(found) != set(self.others) or self.mine is None:
            raise Misuse("the words of a step are delivered together, one of each other holder")
        for name, one in found.items():
            self._check(what, name, one)
        words = tuple(found[name].word if name in found else self.mine for name in self.ceremony.holders)
        seen = digest("federation/key_ceremony/seen/v1", self.seen, *(word.digest for word in words))
        after = replace(self, place=self.place + 1, seen=seen, mine=None)
        if self.proceed is None:
            after = replace(after, founding=(*self.founding, words))
        else:
            after = replace(after, said=(*self.said, words))
        return after, {name: found[name] for name in self.others}

    def _check(self, what: What, name: str, one: Heard) -> None:
        word = one.word
        if word.party != name or word.ceremony != self.ceremony.hash or word.place != self.place:
            raise ProtocolViolation(
                name, phase=what, expected="its own word of this step of this ceremony", got="another one"
            )
        if word.seen != self.seen:
            raise Split(name)
        if word.what is not what:
            raise ProtocolViolation(name, phase=what, expected=f"its word of {what}", got=f"one of {word.what}")
        others = self.ceremony.others(name)
        told = word.boxes[others.index(self.me)] if len(word.boxes) == len(others) else None
        if told != box_digest(one.box) and (word.boxes or one.box):
            raise ProtocolViolation(name, phase=what, expected="the box that its word names", got="another one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What transfers are made from, in the order of the other holders.

    Attributes:
        sid: 32 bytes over everybody's commitment: fixed before any candidate was known.
        forests: as the chooser.
        pruned: as the sender.
    """

    sid: bytes
    forests: tuple[Forest, ...] = field(repr=False)
    pruned: tuple[Pruned, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """A holder's shares of both factors of every candidate."""

    p: tuple[int, ...] = field(repr=False)
    q: tuple[int, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Nothing is known yet."""

    ended: ClassVar[bool] = False

    @property
    def awaits(self) -> Awaits:
        """Begin, of nobody in particular."""
        return Awaits(what="begin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A holder that takes part awaits the words of one step."""

    at: At

    what: ClassVar[What]
    ended: ClassVar[bool] = False

    @property
    def awaits(self) -> Awaits:
        """The words of this step, of all others."""
        return Awaits(what=self.what.value, of=self.at.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering(Taking):
    """Its own transfers are offered."""

    what: ClassVar[What] = What.OFFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Replying(Taking):
    """It replied to `offers`, in the order of the other holders."""

    sid: bytes
    offers: tuple[bytes, ...]

    what: ClassVar[What] = What.REPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Growing(Replying):
    """Its own trees have grown."""

    forests: tuple[Forest, ...] = field(repr=False)

    what: ClassVar[What] = What.SUMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Taking):
    """Between two batches.

    Attributes:
        proceed: what begins the next one.
    """

    pairs: Pairs
    proceed: Proceed

    what: ClassVar[What] = What.CHOOSE

    @property
    def awaits(self) -> Awaits:
        """Proceed, of its own driver."""
        return Awaits(what="proceed", of=(self.at.me,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batched(Taking):
    """In a batch."""

    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing(Batched):
    """It has drawn.

    Attributes:
        units: modulo the plan's `sieve`, of all first factors and then of all second ones.
        above: of each factor what is drawn above M.
        pads: of its choices, towards each holder before it.
    """

    units: bytes = field(repr=False)
    above: tuple[int, ...] = field(repr=False)
    pads: tuple[bytes, ...] = field(repr=False)

    what: ClassVar[What] = What.CHOOSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieving(Choosing):
    """The units of one holder after another become shares of their product.

    Attributes:
        turn: the holder whose units are multiplied by now.
        prepared: (differences, its share) towards each holder after it.
        share: its share of the product of the units before `turn`; b"" until it has any.
    """

    turn: int
    prepared: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    share: bytes = field(repr=False)

    what: ClassVar[What] = What.SIEVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplying(Batched):
    """It has its shares of the factors.

    Attributes:
        units: the product of its units for both factors, modulo `sieve`: what it will publish.
        pads: of its choices, towards each other holder.
    """

    factors: Factors
    units: bytes = field(repr=False)
    pads: tuple[bytes, ...] = field(repr=False)

    what: ClassVar[What] = What.MULTIPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Correcting(Multiplying):
    """Its corrections are out.

    Attributes:
        total: its share of the candidates modulo `product`, but for what it has not collected.
    """

    total: bytes = field(repr=False)

    what: ClassVar[What] = What.CORRECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(Batched):
    """Its shares of the candidates are out."""

    factors: Factors

    what: ClassVar[What] = What.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Testing(Batched):
    """The candidates are known, its powers are out.

    Attributes:
        numbers: the candidates.
        tested: the places of those without a small factor.
    """

    factors: Factors
    numbers: tuple[int, ...]
    tested: tuple[int, ...]

    what: ClassVar[What] = What.TEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirming(Testing):
    """One candidate passed the first base, its powers of all other bases are out.

    Attributes:
        passed: the places of those that passed the first base and did not fail another one; the first is meant.
    """

    passed: tuple[int, ...]

    what: ClassVar[What] = What.CONFIRM


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealing(Testing):
    """Its shares of the factors of all rejected candidates are out.

    Attributes:
        accepted: the place of the candidate that is a modulus, or -1.
        rejected: the places of those that were rejected by somebody's powers.
    """

    accepted: int
    rejected: tuple[int, ...]

    what: ClassVar[What] = What.REVEAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing(Batched):
    """The modulus is known.

    Attributes:
        n: the modulus.
        p: its share of one factor.
        q: of the other.
        tries: candidates in all, the modulus included.
    """

    n: int
    p: int = field(repr=False)
    q: int = field(repr=False)
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blinding(Finishing):
    """Its choices by its share of p + q are out, `pads` towards each other holder are its own."""

    pads: tuple[bytes, ...] = field(repr=False)

    what: ClassVar[What] = What.BLIND


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing(Blinding):
    """Its corrections by its share of beta are out.

    Attributes:
        exponent: its share of beta phi, but for what it has not collected.
    """

    exponent: int = field(repr=False)

    what: ClassVar[What] = What.SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed(Taking):
    """Its parts of the key are out; the factors' shares are gone.

    Attributes:
        exponent: its share of beta phi.
    """

    sid: bytes
    n: int
    exponent: int = field(repr=False)
    tries: int

    what: ClassVar[What] = What.KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Decrypting(Taking):
    """The key fits; its answers for everybody's test ciphertext are out."""

    joint: JointKey
    exponent: int = field(repr=False)
    tests: tuple[int, ...]
    tries: int

    what: ClassVar[What] = What.DECRYPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreeing(Taking):
    """The tests are decrypted, its own number is out."""

    joint: JointKey
    exponent: int = field(repr=False)
    plaintexts: tuple[int, ...]
    tries: int

    what: ClassVar[What] = What.AGREE


@dataclass(frozen=True, slots=True, kw_only=True)
class Disputing(Taking):
    """What was said does not add up; its entropy is out, and nothing of this ceremony will be used."""

    why: str

    what: ClassVar[What] = What.DISPUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The key is made; everything secret but the share that went with `Done` is gone."""

    transcript: bytes

    ended: ClassVar[bool] = True

    @property
    def awaits(self) -> Awaits:
        """Nothing."""
        return Awaits()


State: TypeAlias = Idle | Taking | Ended | Aborted


def residues_in(data: bytes, rows: int) -> Residues:
    """Return residues that were kept as bytes."""
    return np.frombuffer(data, dtype="<u2").reshape(rows, -1)


def bytes_of(residues: Residues) -> bytes:
    """Return residues as bytes to keep or to send."""
    return residues.astype("<u2", copy=False).tobytes()
