"""What every sans-io machine is made of: `step(state, event) -> Transition`, and the fold that is recovery.

States, events and effects are frozen and comparable. A driver stores the event, then steps, then carries out the
effects; after a crash it folds the stored events, and the state and every byte to send are the same as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Transition(Generic[S, F]):
    """What one step led to: the next state, and what the driver has to do, in order."""

    state: S
    effects: tuple[F, ...] = ()


def fold(step: Callable[[S, E], Transition[S, F]], start: S, events: Iterable[E]) -> Transition[S, F]:
    """Return the state after all `events` and the effects of all of them, in order.

    Raises:
        ProtocolViolation: as the step that raises; the events before it stay what they were.
    """
    state, effects = start, list[F]()
    for event in events:
        transition = step(state, event)
        state = transition.state
        effects.extend(transition.effects)
    return Transition(state, tuple(effects))
