"""A holder's machine of a key ceremony.

    Idle --Begin--> Offering --> Replying --> Growing --> Ready
    Ready --Proceed--> Choosing --> Sieving, n - 1 times --> Multiplying --> Correcting --> Opening --> Testing
    Testing --> Confirming, for each that passed --> Revealing;  Testing --none passed--> Revealing
    Revealing --no modulus--> Ready;  --a modulus--> Blinding
    Blinding --> Sharing --> Keyed --> Decrypting --> Agreeing --> Ended
    Revealing, Keyed, Decrypting, Agreeing --something does not add up--> Disputing --> Aborted

In every step every holder says one word to all, with a box for some; `Delivered` brings all of one step together. What
is sent follows from the entropy and from what was delivered, so a fold of stored events sends identical bytes again.
Whoever starts again lacks at most the words of its own step and of the next one: others keep those two.

Semi-honest: what n - 1 holders see says nothing of the last one's shares as long as they follow the protocol. Whoever
deviates may learn bits of them (which of its lies went unnoticed), and is named only where it shows.
"""

from __future__ import annotations

from federation.domain.job import Blame
from federation.errors import Misuse, Unavailable
from federation.protocols.key_ceremony import finishing, multiplying, transfers, trials
from federation.protocols.key_ceremony.events import (
    Abort,
    Begin,
    DeadlinePassed,
    Delivered,
    Effect,
    Event,
    Heard,
    Proceed,
    Stopped,
)
from federation.protocols.key_ceremony.judging import judged, split_of
from federation.protocols.key_ceremony.states import (
    Agreeing,
    Blinding,
    Choosing,
    Confirming,
    Correcting,
    Decrypting,
    Disputing,
    Ended,
    Finishing,
    Growing,
    Idle,
    Keyed,
    Multiplying,
    Offering,
    Opening,
    Ready,
    Replying,
    Revealing,
    Sharing,
    Sieving,
    Split,
    State,
    Taking,
    Testing,
)
from federation.protocols.machine import Transition
from federation.protocols.secure_sum import Aborted


def step(state: State, event: Event) -> Transition[State, Effect]:
    """Return where `event` leads. Raises ProtocolViolation (the state stays) and, for a wrong driver, Misuse."""
    match state, event:
        case Idle(), Begin(ceremony=ceremony, me=me, entropy=entropy):
            if me not in ceremony.holders or len(entropy) != 32:
                raise Misuse("a holder begins under its own name, with 32 bytes of entropy")
            return transfers.begin(event)
        case Ready() as now, Proceed() as proceed:
            return _proceed(now, proceed)
        case Taking() as now, Delivered(heard=heard) if _is_past(now, heard):
            return Transition(now)
        case Taking() as now, Delivered():
            try:
                return _on(now, event)
            except Split as split:
                return _aborted(split_of(now.what, split.party))
        case ((Ended() | Aborted()), (Delivered() | DeadlinePassed() | Stopped())):
            return Transition(state)
        case _, Stopped(blames=blames):
            return _aborted(blames)
        case Taking() as now, DeadlinePassed(missing=missing):
            return _aborted(tuple(_late(now, name) for name in missing or now.at.others))
        case _:
            raise Misuse(f"{type(event).__name__} has no meaning in state {type(state).__name__}")


def _on(now: Taking, event: Delivered) -> Transition[State, Effect]:
    """Take the words of one step. The order of the cases is that of the steps, later states before what they extend."""
    match now:
        case Growing():
            return transfers.ready(now, event)
        case Replying():
            return transfers.grow(now, event)
        case Offering():
            return transfers.reply(now, event)
        case Sieving():
            return multiplying.sieve(now, event)
        case Choosing():
            return multiplying.prepare(now, event)
        case Correcting():
            return multiplying.publish(now, event)
        case Multiplying():
            return multiplying.correct(now, event)
        case Opening():
            return trials.test(now, event)
        case Confirming():
            return trials.confirmed(now, event)
        case Revealing():
            found = trials.settle(now, event)
            return finishing.blind(found) if isinstance(found, Finishing) else found
        case Testing():
            return trials.confirm(now, event)
        case Sharing():
            return finishing.publish(now, event)
        case Blinding():
            return finishing.share(now, event)
        case Keyed():
            return finishing.decrypt(now, event)
        case Decrypting():
            return finishing.agree(now, event)
        case Agreeing():
            return finishing.end(now, event)
        case Disputing(at=at, why=why):
            after, heard = at.taken(now.what, event.heard)
            opened = {name: one.word.body for name, one in heard.items()}
            return _aborted(judged(step, at, {**opened, after.me: after.entropy}, why))
        case _:
            raise Misuse(f"{type(event).__name__} has no meaning in state {type(now).__name__}")


def _proceed(now: Ready, proceed: Proceed) -> Transition[State, Effect]:
    """Begin the next batch, or after a restart a later one: what was said in those before it is not needed any more."""
    at, due = now.at, now.proceed
    if proceed != due and not (
        due.batch == 1 < proceed.batch and proceed.place > due.place and len(proceed.seen) == 32
    ):
        raise Misuse("the next batch, or after a restart the one that was stored, is what a ceremony proceeds with")
    return multiplying.choose(at.proceeding(proceed), now.pairs, proceed)


def _late(now: Taking, party: str) -> Blame:
    message = f"{party} did not say its word of {now.what} before the deadline"
    return Blame(party=party, code=Unavailable.code, message=message)


def _is_past(now: Taking, heard: tuple[Heard, ...]) -> bool:
    """Return whether these are words of a step that is over: whoever starts again sends them again."""
    return bool(heard) and all(one.word.place < now.at.place for one in heard)


def _aborted(blames: tuple[Blame, ...]) -> Transition[State, Effect]:
    return Transition(Aborted(blames=blames), (Abort(blames=blames),))
