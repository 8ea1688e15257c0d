"""The three steps that set transfers up, once for every pair of holders and both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from federation.crypto import agreement, ot
from federation.crypto.ot import BadTransfer
from federation.domain.job import digest
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.estimate import estimate_of
from federation.protocols.key_ceremony.events import Begin, Boundary, Delivered, Effect, Proceed, Progress
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.states import At, Growing, Offering, Pairs, Ready, Replying, State
from federation.protocols.key_ceremony.terms import Ceremony
from federation.protocols.machine import Transition

P = ParamSpec("P")
T = TypeVar("T")


def begin(event: Begin) -> Transition[State, Effect]:
    """Offer transfers, and commit to the entropy that everything is drawn from."""
    at = At(ceremony=event.ceremony, me=event.me, entropy=event.entropy)
    boxes = {name: ot.offer(_secret(at, name, "chooser"), _context(at, event.me, name)) for name in at.others}
    at, sends = at.spoken(What.OFFER, commitment(event.ceremony, event.me, event.entropy), boxes)
    return Transition(Offering(at=at), sends)


def reply(now: Offering, event: Delivered) -> Transition[State, Effect]:
    """Reply to the offers of others, as their sender; sid is known."""
    at, heard = now.at.taken(now.what, event.heard)
    for name, one in heard.items():
        if len(one.word.body) != 32:
            raise ProtocolViolation(name, phase=now.what, expected="a commitment of 32 bytes", got="another length")
    boxes = {
        name: sound(now.what, name, ot.reply, _secret(at, name, "sender"), _context(at, name, at.me), one.box)
        for name, one in heard.items()
    }
    sid = digest("federation/key_ceremony/sid/v1", *(word.body for word in at.founding[0]))
    at, sends = at.spoken(What.REPLY, boxes=boxes)
    return Transition(Replying(at=at, sid=sid, offers=tuple(one.box for one in heard.values())), sends)


def grow(now: Replying, event: Delivered) -> Transition[State, Effect]:
    """Grow its own trees, as the chooser."""
    at, heard = now.at.taken(now.what, event.heard)
    grown = {
        name: sound(now.what, name, ot.grown, _secret(at, name, "chooser"), _context(at, at.me, name), one.box)
        for name, one in heard.items()
    }
    at, sends = at.spoken(What.SUMS, boxes={name: sums for name, (sums, _) in grown.items()})
    forests = tuple(forest for _, forest in grown.values())
    return Transition(Growing(at=at, sid=now.sid, offers=now.offers, forests=forests), sends)


def ready(now: Growing, event: Delivered) -> Transition[State, Effect]:
    """Grow others' trees, as their sender: everything is there for the first batch."""
    at, heard = now.at.taken(now.what, event.heard)
    pruned = tuple(
        sound(now.what, name, ot.pruned, _secret(at, name, "sender"), _context(at, name, at.me), offered, one.box)
        for (name, one), offered in zip(heard.items(), now.offers, strict=True)
    )
    return boundary(at, Pairs(sid=now.sid, forests=now.forests, pruned=pruned), tries=0)


def boundary(at: At, pairs: Pairs, tries: int) -> Transition[State, Effect]:
    """Stand between two batches."""
    proceed = Proceed(batch=at.batch + 1, tries=tries, place=at.place, seen=at.seen)
    progress = Progress(batch=at.batch, tries=tries, transcript=at.seen, estimate=estimate_of(at.ceremony))
    return Transition(Ready(at=at, pairs=pairs, proceed=proceed), (progress, Boundary(proceed=proceed)))


def commitment(ceremony: Ceremony, party: str, entropy: bytes) -> bytes:
    """Return what binds a holder to its entropy: every seed of every batch comes from it."""
    return digest("federation/key_ceremony/commitment/v1", ceremony.hash, party.encode(), entropy)


def derived(at: At, use: str, *parts: bytes) -> bytes:
    """Return 32 secret bytes for one use, of this holder's entropy."""
    info = digest("federation/key_ceremony/secret/v1", at.ceremony.hash, at.me.encode(), use.encode(), *parts)
    return agreement.derive(at.entropy, info)


def sound(what: What, party: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` makes of a party's box. Raises ProtocolViolation where the box is none."""
    try:
        return work(*args, **kwargs)
    except BadTransfer as fault:
        raise ProtocolViolation(party, phase=what, expected="a sound message of transfers", got=str(fault)) from None


def _secret(at: At, peer: str, role: str) -> bytes:
    return derived(at, f"transfers as {role}", peer.encode())


def _context(at: At, chooser: str, sender: str) -> bytes:
    return digest("federation/key_ceremony/pair/v1", at.ceremony.hash, chooser.encode(), sender.encode())
