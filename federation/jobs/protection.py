"""How a job is protected: by masks, or under a joint key; decided before the researcher signs, judged by every party.

Pure: what a party may not sum under, and what is taken where the researcher does not say. A party holds the same rules
against every job, so that a default which was chosen wrongly is refused and not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from federation.crypto.paillier.keys import DEVELOPMENT, PRODUCTION_BITS
from federation.crypto.paillier.threshold import JointKey
from federation.domain.job import Job
from federation.errors import Misuse, Refused, did_you_mean

MASKS: Final = "masked_sum"
PAILLIER: Final = "paillier_sum"
PLAIN: Final = "plain_sum"  # protects nobody from the coordinator: refused unless an operator permits it
SPOKEN: Final = {"masks": MASKS, "paillier": PAILLIER, "plain": PLAIN}  # as people say it
MOST_NUMBERS: Final = 4_096  # of one sum under a joint key: what encryption carries in seconds (DESIGN section 8)
DEALT: Final = "development key: its dealer could read everything"
SHORT: Final = "short key: whoever factors its modulus reads everything"
MADE: Final = "joint key: made by its holders, held by nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What protects a job.

    Attributes:
        protection: name of the secure sum.
        key: digest of the joint key, b"" for masks.
        why: one sentence.
    """

    protection: str
    key: bytes = b""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A joint key that a job could be summed under; `expires_ms` is when its epoch ends."""

    joint: JointKey
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a job decides how it can be protected.

    Attributes:
        parties: sorted.
        least: fewest of them that must be counted.
        numbers: most numbers of one of its sums, flags included.
        deadline_ms: when it ends at the latest.
    """

    parties: tuple[str, ...]
    least: int
    numbers: int
    deadline_ms: int


def named(word: str) -> str:
    """Return the secure sum that people call so: "masks", "paillier", or its own name; "" stays "", for the default.

    Raises:
        Misuse: another word.
    """
    known = {**SPOKEN, **{name: name for name in SPOKEN.values()}, "": ""}
    if word not in known:
        raise Misuse(f"there is no protection {word!r}", hint=did_you_mean(word, [*SPOKEN, *SPOKEN.values()]))
    return known[word]


def development(joint: JointKey) -> bool:
    """Return whether somebody alone made this key, or everybody knows its factors: it protects nobody."""
    return joint.is_dealt or joint.public.fingerprint in DEVELOPMENT


def trust(joint: JointKey) -> str:
    """Return in words whom a sum under this key has to trust."""
    if development(joint):
        return DEALT
    return MADE if joint.public.bits >= PRODUCTION_BITS else SHORT


def chosen(asked: str, wanted: Wanted, keys: Sequence[KnownKey]) -> Choice:
    """Return what protects a job: what was asked for, or else a joint key where the parties have one that fits.

    Args:
        asked: as `named` returns it.
        wanted: the job.
        keys: the federation's joint keys.

    Raises:
        Refused: rule "protection/...": a joint key is asked for, and no key fits the job.
    """
    if asked == MASKS:
        return Choice(protection=MASKS, why="masks, as asked")
    if asked == PLAIN:
        return Choice(protection=PLAIN, why="nothing, as asked: the coordinator sees every party's numbers")
    held = [key for key in keys if key.joint.holders == wanted.parties]
    if asked != PAILLIER:
        held = [key for key in held if not development(key.joint) and key.joint.public.bits >= PRODUCTION_BITS]
    newest = max(held, key=lambda key: (key.expires_ms, key.joint.digest), default=None)
    fault = _unfit(wanted, newest)
    if fault is None and newest is not None:
        said = "as asked" if asked else "these parties hold it, and anyone can audit what is summed under it"
        label = "" if trust(newest.joint) == MADE else f"; {trust(newest.joint)}"
        return Choice(protection=PAILLIER, key=newest.joint.digest, why=f"a joint key: {said}{label}")
    if fault is not None and asked == PAILLIER:
        raise fault
    return Choice(protection=MASKS, why=f"masks: {fault.message}" if fault else "masks")


def judged(job: Job, key: KnownKey | None, numbers: int, *, lenient: bool, me: str) -> None:
    """Refuse a job whose protection this party does not take part in.

    Args:
        job: as it was signed.
        key: the joint key that it names, if this party holds a share of it.
        numbers: most numbers of one of its sums.
        lenient: take development keys and short ones: inside one process, and for tests.
        me: the judging party.

    Raises:
        Refused: rule "protection/...".
    """
    if (job.protection == PAILLIER) is not bool(job.key):
        raise Refused(
            "a job names a joint key if and only if it is summed under one",
            rule="protection/key",
            hint="write the job with this version of the software",
        )
    if not job.key:
        return
    if key is None:
        raise Refused(
            f"{me} holds no share of the joint key that the job names",
            rule="protection/key",
            hint='federation key ceremony makes a key; or ask with protection "masks"',
            party=me,
        )
    if not lenient:
        _refuse_weak(key.joint, me)
    fault = _unfit(
        Wanted(parties=job.parties, least=len(job.parties), numbers=numbers, deadline_ms=job.deadline_ms), key
    )
    if fault is not None:
        raise fault


def _refuse_weak(joint: JointKey, me: str) -> None:
    if development(joint):
        raise Refused(
            f"{me} does not sum under a development key: its dealer could read everything",
            rule="protection/development-key",
            hint='federation key ceremony makes a key that nobody holds; or ask with protection "masks"',
            party=me,
        )
    if joint.public.bits < PRODUCTION_BITS:
        raise Refused(
            f"{me} does not sum under a joint key of {joint.public.bits} bits",
            rule="protection/key-size",
            hint=f'{PRODUCTION_BITS} bits are the least: federation key ceremony; or ask with protection "masks"',
            party=me,
        )


def _unfit(wanted: Wanted, key: KnownKey | None) -> Refused | None:
    """Return why the job cannot be summed under this key; the sentence says it of any such job."""
    if key is None:
        return Refused(
            "these parties hold no joint key",
            rule="protection/key",
            hint='federation key ceremony makes one; or ask with protection "masks"',
        )
    if key.joint.holders != wanted.parties:
        return Refused(
            f"the holders of the joint key are {', '.join(key.joint.holders)}, and not the parties of the job",
            rule="protection/holders",
            hint='ask all holders and nobody else, or ask with protection "masks"',
        )
    if wanted.least < len(wanted.parties):
        return Refused(
            "under a joint key nobody may be missing, and the job goes on without a lost party",
            rule="protection/everybody",
            hint='leave minimum_parties out, or ask with protection "masks"',
        )
    if key.expires_ms < wanted.deadline_ms:
        return Refused(
            "the joint key expires before the job's deadline",
            rule="protection/expired",
            hint='federation key ceremony makes the next one; or ask with protection "masks"',
        )
    if wanted.numbers > MOST_NUMBERS:
        return Refused(
            f"a sum of the job may have {wanted.numbers:,} numbers, and a joint key carries {MOST_NUMBERS:,} in a sum",
            rule="protection/size",
            hint='fewer groups, bins or statistics in one job, or ask with protection "masks"',
        )
    return None
