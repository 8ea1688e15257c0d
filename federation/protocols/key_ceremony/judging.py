"""Who computed something else: everybody's entropy is open, and the batch is computed again for everybody.

A holder's words follow from its entropy and from the words before them. The first step in which a word is not the one
that follows names its sender; what came later may follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from federation.domain.job import Blame
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony.events import Begin, Delivered, Effect, Event, Heard, Send
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.states import At, Idle, State
from federation.protocols.key_ceremony.transfers import commitment
from federation.protocols.machine import Transition

Step = Callable[[State, Event], Transition[State, Effect]]


def judged(step: Step, at: At, entropies: Mapping[str, bytes], why: str) -> tuple[Blame, ...]:
    """Return whom a dispute names.

    Args:
        step: a holder's machine.
        at: where one holder stood when it began the dispute.
        entropies: what everybody opened, its own included.
        why: the dispute.
    """
    ceremony = at.ceremony
    bound = {word.party: word.body for word in at.founding[0]}
    unbound = [name for name in ceremony.holders if commitment(ceremony, name, entropies[name]) != bound[name]]
    if unbound:
        return tuple(_blame(name, "opened another entropy than it was bound to", why) for name in unbound)
    machines: dict[str, Transition[State, Effect]] = {
        name: step(Idle(), Begin(ceremony=ceremony, me=name, entropy=entropies[name])) for name in ceremony.holders
    }
    for words in (*at.founding, None, *at.said):
        if words is None:
            if at.proceed is None:
                break
            machines = {name: step(machine.state, at.proceed) for name, machine in machines.items()}
            continue
        sends = {name: [one for one in machine.effects if isinstance(one, Send)] for name, machine in machines.items()}
        others = [word.party for word in words if not sends[word.party] or sends[word.party][0].word != word]
        if others:
            return tuple(_blame(name, f"sent other numbers than it drew in {words[0].what}", why) for name in others)
        machines = {name: step(machine.state, _delivered(name, sends)) for name, machine in machines.items()}
    return (Blame(party="", code="job_failed", message=f"{why}, and everybody computed as it should"),)


def _delivered(to: str, sends: Mapping[str, list[Send]]) -> Delivered:
    return Delivered(
        heard=tuple(
            Heard(sender=name, word=one.word, box=one.box)
            for name, of_one in sends.items()
            for one in of_one
            if one.to == to
        )
    )


def _blame(party: str, did: str, why: str) -> Blame:
    return Blame(party=party, code=ProtocolViolation.code, message=f"{why}: {party} {did}")


def split_of(what: What, party: str) -> tuple[Blame, ...]:
    """Return what is said when a holder has seen other words than we, or begins a dispute alone."""
    message = (
        f"{party} has seen other words before {what} than this holder: somebody said two things, and the signatures on "
        "both show who"
    )
    return (Blame(party="", code=ProtocolViolation.code, message=message, hint="compare what everybody stored"),)
