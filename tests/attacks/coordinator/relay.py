"""A coordinator that lies with its own key: it takes the honest one's bundles apart and signs others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from federation.protocols.masked_sum.messages import Advert, Consent, Head, Opening, Shares
from federation.protocols.withdrawal import Withdrawal
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import COORDINATOR, people

Parts = tuple[bytes, ...]
Lied = tuple[m.Bundle, list[Parts]]
Lie = Callable[[m.Bundle, list[Parts]], Lied]
STEPS = {
    Advert.domain: "adverts",
    Shares.domain: "shares",
    Head.domain: "heads",
    Consent.domain: "consents",
    Opening.domain: "opening",
    Withdrawal.domain: "withdrawals",
}


def bundle_in(frame: m.Frame) -> m.Bundle | None:
    """The bundle of a frame, None for another message."""
    return convert.bundle_of(frame.signed.body) if frame.signed.domain == m.BUNDLE else None


def step_of(bundle: m.Bundle) -> str:
    """What it carries; what the coordinator states stands last, after the heads that it is about."""
    return STEPS[bundle.messages[-1].domain]


def chunks_of(bundle: m.Bundle, frame: m.Frame) -> list[Parts]:
    """The frame's parts by message."""
    found, start = [], 0
    for count in bundle.chunk_counts:
        found.append(frame.parts[start : start + count])
        start += count
    return found


def framed(bundle: m.Bundle, chunks: Sequence[Parts]) -> m.Frame:
    """The bundle, signed by the coordinator, with its chunks; its counts are those that it says."""
    parts = tuple(part for message in chunks for part in message)
    envelope = signed(people()[COORDINATOR], m.BUNDLE, bundle)
    return m.Frame(envelope, parts, bundle.job_hash, bundle.round_index, bundle.attempt)


def sender_of(message: m.Signed) -> str:
    """Whose key signed."""
    return next(name for name, one in people().items() if one.member.key_id == message.key_id)


def place_of(bundle: m.Bundle, party: str) -> int:
    """Where a party's message stands."""
    return next(i for i, message in enumerate(bundle.messages) if sender_of(message) == party)


@dataclass
class Relay:
    """A link that lies in one step of one round, to everybody or to some.

    Attributes:
        lie: what it makes of a bundle and its chunks.
        victims: to whom; everybody by default.
        seen: every bundle frame that went by, as it was, by (round, step, to whom).
    """

    lie: Lie
    step: str = "heads"
    round_index: int = 0
    victims: tuple[str, ...] = ()
    seen: dict[tuple[int, str, str], m.Frame] = field(default_factory=dict)
    lies: int = 0

    def __call__(self, way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        bundle = bundle_in(frame)
        if way == "in" or bundle is None:
            return (frame,)
        self.seen.setdefault((bundle.round_index, step_of(bundle), party), frame)
        due = (bundle.round_index, step_of(bundle)) == (self.round_index, self.step)
        if not due or (self.victims and party not in self.victims):
            return (frame,)
        self.lies += 1
        return (framed(*self.lie(bundle, chunks_of(bundle, frame))),)


def changed(bundle: m.Bundle, place: int, message: m.Signed) -> m.Bundle:
    """The bundle with another message in one place."""
    messages = list(bundle.messages)
    messages[place] = message
    return replace(bundle, messages=tuple(messages))
