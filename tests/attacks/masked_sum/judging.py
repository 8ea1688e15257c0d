"""Recorded sums as targets, and a judge of what becomes of a spoiled message.

What a machine takes must not open another total, over fewer parties or with other shares; what it refuses must not be
blamed on anybody but those whose keys the attacks have.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from federation.crypto import signing
from federation.domain.job import Blame
from federation.errors import ProtocolViolation
from federation.protocols import masked_sum
from federation.protocols.events import (
    Attested,
    DeadlinePassed,
    Delivered,
    Intend,
    Parcel,
    Received,
    Release,
    Send,
    Stopped,
    Withdraw,
)
from federation.protocols.machine import Transition
from federation.protocols.masked_sum import MaskedSum, party
from federation.protocols.masked_sum.messages import Consent, Unmask
from federation.protocols.setup import Check
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.convert import BODIES, Malformed
from federation.wire.envelope import opened, signed
from tests.wire.mutations import rooted
from tests.wire.recorded_sums import (
    MALLORY,
    OUTSIDER,
    RELAY,
    RESEARCHER,
    Moment,
    Sum,
    beside,
    bundled,
    messages_in,
    parcels_of,
    roster,
    signer,
)

ENDINGS = ("no frame", "refused at the envelope", "refused by the driver", "refused by the machine", "ignored", "taken")
MACHINES = ("aggregator", "checking", "checks", "opening", "party")  # modules whose refusals are counted
GUILTY = {MALLORY, OUTSIDER, RELAY, RESEARCHER}  # whose keys the attacks have


@cache
def stories() -> dict[str, Sum]:
    """Sums with and without losses, in several orders of arrival, checked wholly and by samples."""
    made = [
        Sum("four"),
        Sum("four again", attempt=1),
        Sum("mallory last", order=(0, 2, 3, 1)),
        Sum("mallory first", order=(1, 0, 2, 3)),
        Sum("no advert of p3", lost=("p3", "advert")),
        Sum("no shares of p3", lost=("p3", "shares")),
        Sum("no head of p3", lost=("p3", "head"), order=(0, 2, 1, 3)),
        Sum("no advert of mallory", lost=(MALLORY, "advert")),
        Sum("no head of mallory", lost=(MALLORY, "head")),
        Sum("no head of p0", lost=("p0", "head"), order=(2, 3, 0, 1)),
        Sum("three", n=3, order=(0, 2, 1)),
        Sum("sampled", check=Check.SAMPLE, ring="z2^64", length=2 * 16 * 1024 + 3),
    ]
    return {one.story: one for one in made}


@cache
def moments() -> dict[str, list[Moment]]:
    """Machines on the point of receiving something, by role and state."""
    found: dict[str, list[Moment]] = {}
    stopped = Stopped(blames=(Blame(party=RELAY, code="unavailable", message="gone"),))
    for story in stories().values():
        for moment in story.moments:
            ways = [moment, beside(moment, stopped)]
            if moment.to != RELAY:
                ways += [beside(moment, Withdraw())] if not moment.state.ended else []
            elif moment.state.awaits.enough:
                ways += [beside(moment, DeadlinePassed())]
            for way in ways:
                found.setdefault(way.name, []).append(way)
    found["party Sampling"] += deceived()
    found["party Dealt"] += misled("no shares of p3", party.Advertised, party.Dealt)
    found["party Consented"] += misled("four", party.Masked, party.Consented)
    return found


def deceived() -> list[Moment]:
    """Parties that were told a false long total, and are about to be shown chunks of the true vectors."""
    story = stories()["sampled"]
    told = [moment for moment in story.moments if moment.name == "party Unmasked"]
    shown = {moment.to: moment for moment in story.moments if moment.name == "party Sampling"}
    found = []
    for moment in told:
        *heads, (envelope, total) = messages_in(moment.frame)
        false = (total[0], bytes([total[1][0] ^ 1]) + total[1][1:], *total[2:])
        value, parts = rooted(BODIES[envelope.domain].decode(envelope.body), false)
        statement = (signed(signer(RELAY), value.domain, value), parts)
        state = moment.step(Delivered(parcels=parcels_of(bundled([*heads, statement])))).state
        found.append(replace(shown[moment.to], state=state, effects=()))
    return found


def misled(story: str, when: type, then: type) -> list[Moment]:
    """Parties that were shown a message of p3's under another signature, and p3 will say nothing that stands for it."""
    found = []
    for told in (moment for moment in stories()[story].moments if type(moment.state) is when and moment.to != "p3"):
        messages = [
            (replace(one, signature=bytes(64)) if one.key_id == signer("p3").member.key_id else one, chunks)
            for one, chunks in messages_in(told.frame)
        ]
        state = told.step(Delivered(parcels=parcels_of(bundled(messages)))).state
        asked = next(one for one in stories()[story].moments if type(one.state) is then and one.to == told.to)
        found.append(replace(asked, state=state, effects=()))
    return found


@dataclass
class Judge:
    """Gives messages to machines, counts how they end, and knows what must never happen."""

    endings: Counter[tuple[str, str]] = field(default_factory=Counter)  # (role and state, ending)
    sites: Counter[tuple[str, int]] = field(default_factory=Counter)  # (module, line) of a machine's refusal
    released: int = 0

    def give(self, moment: Moment, line: str, data: bytes | m.Frame) -> None:
        self.endings[moment.name, self._ending(moment, line, data)] += 1

    def _ending(self, moment: Moment, line: str, data: bytes | m.Frame) -> str:
        try:
            frame = convert.frame_of(data) if isinstance(data, bytes) else data
        except Malformed as fault:
            assert str(fault)
            return "no frame"
        try:
            event = self._received(frame, line) if moment.to == RELAY else self._delivered(frame)
        except ProtocolViolation as fault:
            assert fault.party in GUILTY, f"{fault.party} is blamed for what {line} handed over"
            return "refused at the envelope"
        except ValueError:
            return "refused by the driver"
        try:
            after = moment.step(event)
        except ProtocolViolation as fault:
            assert fault.party in GUILTY, f"{fault.party} is blamed: {fault.message}"
            assert fault.phase
            assert fault.expected
            assert fault.got
            self.sites[site_of(fault)] += 1
            return "refused by the machine"
        if after.state is moment.state and not after.effects:
            return "ignored"
        self._harmless(moment, event, after)
        return "taken"

    def _received(self, frame: m.Frame, line: str) -> Received:
        message = opened(frame.signed, roster(), relay=line)
        if message.sender != line or not isinstance(message.value, MaskedSum.messages):
            raise ValueError("not the line's own message of the protocol")
        value: Attested[Any] = Attested(sender=message.sender, value=message.value, digest=message.digest)
        return Received(parcel=Parcel(message=value, chunks=frame.parts))

    def _delivered(self, frame: m.Frame) -> Delivered:
        return Delivered(parcels=parcels_of(frame))

    def _harmless(self, moment: Moment, event: Received | Delivered, after: Transition[Any, Any]) -> None:
        """What a machine that took a false message must not do."""
        honest = stories()[moment.story]
        if isinstance(moment.state, party.Dealt) and isinstance(after.state, party.Shared):
            sharing = after.state.masked.names
            assert all(one.holds() for one in moment.state.adverts if one.sender not in sharing), "an invented advert"
        for effect in after.effects:
            match effect:
                case Release():
                    self.released += 1
                    assert effect in honest.releases, "another total"
                case Intend(parties=parties):
                    assert set(parties) <= set(honest.setup.parties)
                    assert len(parties) >= honest.setup.least, "fewer contributors than every party wants"
                case Send(message=Unmask() as unmask):
                    assert isinstance(moment.state, party.Consented)
                    assert unmask.u3_hash == moment.state.known.u3_hash, "shares for a list that was not consented to"
                    self._agreed(event, unmask, honest.setup.threshold, moment.state.heads)
                    shares = len(unmask.self_shares) + len(unmask.key_shares)
                    known = moment.state.known
                    assert shares == len(known.masked.names) - (moment.to not in known.counted), "one kind of a peer"

    def _agreed(
        self, event: Received | Delivered, unmask: Unmask, threshold: int, heads: tuple[Attested[Any], ...]
    ) -> None:
        assert isinstance(event, Delivered)
        values = [parcel.message.value for parcel in event.parcels]
        agreed = {v.party for v in values if isinstance(v, Consent) and v.u3_hash == unmask.u3_hash}
        assert len(agreed) >= threshold, "shares without a consent of as many as open a secret"
        assert all(head.holds() for head in heads if head.sender not in agreed), "shares for an invented head"

    def reached(self, ending: str, role: str = "") -> int:
        return sum(count for (name, end), count in self.endings.items() if end == ending and name.startswith(role))


def site_of(fault: BaseException) -> tuple[str, int]:
    """The module and the line that raised."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return ("", 0) if trace is None else (Path(trace.tb_frame.f_code.co_filename).stem, trace.tb_lineno)


def unreached(judge: Judge) -> list[str]:
    """Where the machines refuse something and this judge never saw it: module and function."""
    found = []
    for path in (Path(masked_sum.__file__).with_name(f"{name}.py") for name in MACHINES):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and refuses(node.exc):
                    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                    if not any(judge.sites[path.stem, line] for line in lines):
                        found.append(f"{path.stem}.{function.name}")
    return found


def refuses(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("ProtocolViolation", "out_of_place", "_dealt_badly")


def remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every signature once: bundles hold the same honest messages again and again."""
    monkeypatch.setattr(signing, "verify", lru_cache(maxsize=50_000)(signing.verify))


def report(judge: Judge) -> str:
    """A table of the endings, for people."""
    head = f"{'':24}" + "".join(f"{ending.replace('refused ', ''):>16}" for ending in ENDINGS)
    lines = [
        f"{name:24}" + "".join(f"{judge.endings[name, ending]:>16,}" for ending in ENDINGS)
        for name in sorted({name for name, _ in judge.endings})
    ]
    total = f"{'all':24}" + "".join(f"{judge.reached(ending):>16,}" for ending in ENDINGS)
    return "\n".join([head, *lines, total, f"released: {judge.released:,}"])
