"""The life of a job as a pure machine: Submitted -> UnderReview -> Running -> Released | Refused | Aborted.

`step` folds what happened into where the job stands; the coordinator stores the events and folds them after a restart.
Nothing leaves an ended state, silence until the deadline has a name, and nobody is blamed without evidence in an event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from federation.domain.job import Blame, State
from federation.domain.verdict import Verdict
from federation.errors import ProtocolViolation

LONGEST = 600  # characters of one sentence about a refusal, and of its remedy
ASK = "ask its operator whether the daemon runs: federation jurisdiction check"
MOST_BLAMES = 300  # of one job: with LONGEST they stay far below what a message may have


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """The job was stored and put before its parties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A party gave its verdict."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewClosed:
    """Everybody who can be reached has judged: decide on what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundClosed:
    """A secure sum is open."""

    round_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A party signed the transcript of all totals."""

    party: str
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationsClosed:
    """Whoever was lost after its numbers were counted is not waited for any longer; enough of the others signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A party objected, a machine named a culprit, or the researcher cancelled."""

    blame: Blame


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The deadline passed; `missing` did not do what was due; `remedy` says how to do without them, or ""."""

    missing: tuple[str, ...]
    remedy: str = ""


Event: TypeAlias = Offered | Judged | ReviewClosed | RoundClosed | Attested | AttestationsClosed | Stopped | Expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Where a job stands.

    Attributes:
        parties: who must take part, sorted.
        verdicts: by those who judged so far.
        rounds: secure sums that are open.
        transcript: what the coordinator itself computed; attestations must equal it.
        contributors: who is counted in the totals, and so has to sign.
        threshold: so many of them are enough when others were lost: more than collude, so that an honest party is among
            them, and honest ones have consented to the same lists.
        attested: who signed it.
        blames: why it ended.
    """

    parties: tuple[str, ...]
    state: State = State.SUBMITTED
    verdicts: tuple[Verdict, ...] = ()
    rounds: int = 0
    attested: tuple[str, ...] = ()
    transcript: bytes = b""
    contributors: tuple[str, ...] = ()
    threshold: int = 0
    blames: tuple[Blame, ...] = ()

    @property
    def judged(self) -> frozenset[str]:
        """Who gave a verdict."""
        return frozenset(verdict.party for verdict in self.verdicts)

    @property
    def enough(self) -> bool:
        """True when so many contributors have signed that the others need not be waited for."""
        return bool(self.transcript) and len(self.attested) >= self.threshold

    @property
    def permitted(self) -> bool:
        """True when every party gave a verdict and permits."""
        return self.judged == frozenset(self.parties) and all(v.permits for v in self.verdicts)


def step(life: Life, event: Event) -> Life:
    """Return where the job stands after `event`.

    Raises:
        ProtocolViolation: a party spoke twice with different words, out of turn, or attested another transcript.
    """
    if life.state.ended:
        return life
    match event:
        case Offered() if life.state is State.SUBMITTED:
            return replace(life, state=State.UNDER_REVIEW)
        case Judged(verdict=verdict) if life.state in (State.UNDER_REVIEW, State.RUNNING):
            return _judged(life, verdict)
        case ReviewClosed() if life.state is State.UNDER_REVIEW:
            return _refused(life) if not all(v.permits for v in life.verdicts) else life
        case RoundClosed(round_index=index) if life.state is State.RUNNING and index == life.rounds:
            return replace(life, rounds=index + 1)
        case Attested(party=party, transcript=transcript) if life.state is State.RUNNING:
            return _attested(life, party, transcript)
        case AttestationsClosed() if life.state is State.RUNNING and life.enough:
            return replace(life, state=State.RELEASED)
        case Stopped(blame=blame):
            state = State.REFUSED if blame.code == "refused" else State.ABORTED
            return replace(life, state=state, blames=(blame,))
        case Expired(missing=missing, remedy=remedy):
            return _expired(life, missing, remedy)
        case _:
            raise ProtocolViolation(
                getattr(event, "party", "coordinator"),
                phase=life.state.value,
                expected="an event of this state",
                got=type(event).__name__,
            )


def with_transcript(life: Life, transcript: bytes, contributors: tuple[str, ...], threshold: int) -> Life:
    """Return `life` knowing who has to attest what, once the plan has no further round."""
    return replace(life, transcript=transcript, contributors=contributors, threshold=threshold)


def _judged(life: Life, verdict: Verdict) -> Life:
    if verdict.party not in life.parties:
        raise ProtocolViolation(
            verdict.party, phase="review", expected="a party of the job", got="an outsider's verdict"
        )
    for earlier in life.verdicts:
        if earlier.party == verdict.party:
            if earlier == verdict:
                return life  # a resend
            raise ProtocolViolation(
                verdict.party, phase="review", expected="one verdict", got="a second, different one"
            )
    life = replace(life, verdicts=(*life.verdicts, verdict))
    return replace(life, state=State.RUNNING) if life.permitted else life


def _refused(life: Life) -> Life:
    told = [
        (
            turn,
            Blame(
                party=v.party,
                code="refused",
                message=_clipped(f"{v.party} refuses by rule {r.rule}: {r.clause}"),
                hint=_clipped(r.remedy),
                rule=r.rule,
            ),
        )
        for v in life.verdicts
        for turn, r in enumerate(v.reasons)
    ]
    # Everybody's first reason goes before anybody's second one: nobody's many words push out another's.
    in_turn = sorted(range(len(told)), key=lambda i: told[i][0])
    blames = tuple(told[i][1] for i in sorted(in_turn[:MOST_BLAMES]))
    return replace(life, state=State.REFUSED, blames=blames)


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _attested(life: Life, party: str, transcript: bytes) -> Life:
    if party not in (life.contributors or life.parties):
        raise ProtocolViolation(
            party, phase="attestation", expected="a party of the job", got="an outsider's attestation"
        )
    if not life.transcript or transcript != life.transcript:  # before the plan's end there is nothing to attest
        raise ProtocolViolation(
            party, phase="attestation", expected="the transcript of all totals", got="another transcript"
        )
    if party in life.attested:
        return life
    life = replace(life, attested=(*life.attested, party))
    return replace(life, state=State.RELEASED) if set(life.attested) == set(life.contributors) else life


def _expired(life: Life, missing: tuple[str, ...], remedy: str) -> Life:
    if any(not v.permits for v in life.verdicts):
        return _refused(life)
    if life.state is not State.RUNNING:
        what, state, code, rule = "gave no verdict", State.REFUSED, "refused", "no answer"
    else:
        what, state, code, rule = f"did not send what was due in round {life.rounds}", State.ABORTED, "unavailable", ""
    blames = tuple(
        Blame(
            party=party,
            code=code,
            message=f"{party} {what} before the deadline",
            hint="; ".join(filter(None, (ASK, remedy))),
            rule=rule,
        )
        for party in missing
    )
    return replace(life, state=state, blames=blames or (Blame(party="", code=code, message="the deadline passed"),))
