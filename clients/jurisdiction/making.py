"""One key ceremony at a holder: its machine, the words that others wait for, and what a restart needs.

Every step's words are sealed in the vault before what follows from them leaves, so a restart folds them to the same
state and the same bytes, and no transfer is ever used for two things. Of a batch that is over, only our last word is
kept. Whoever was away asks the others for what it lacks, and they ask back for what they lack; each keeps its words of
the last two steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from clients.jurisdiction.vault import Vault
from federation.crypto.paillier.threshold import JointKey, KeyShare
from federation.domain.job import Blame, digest
from federation.domain.roster import Roster
from federation.errors import ProtocolViolation
from federation.protocols.key_ceremony import party
from federation.protocols.key_ceremony.boxes import Boxes
from federation.protocols.key_ceremony.estimate import longest
from federation.protocols.key_ceremony.events import (
    Abort,
    Begin,
    Boundary,
    DeadlinePassed,
    Delivered,
    Done,
    Effect,
    Event,
    Heard,
    Proceed,
    Progress,
    Send,
)
from federation.protocols.key_ceremony.messages import Word
from federation.protocols.key_ceremony.states import Idle, State, Taking
from federation.protocols.key_ceremony.terms import Ceremony
from federation.protocols.machine import Transition
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.bulk import PIECE_BYTES
from federation.wire.envelope import Opened, Signer, attested, signed

KEPT_STEPS = 2  # whoever starts again lacks at most the words of its own step and of the next one
SPARE_BYTES = 64  # of a sealed box beside what is in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The end of a ceremony, as it is sealed."""

    joint: JointKey
    share: KeyShare
    tries: int
    transcript: bytes

    def to_bytes(self) -> bytes:
        """Return it for the vault."""
        parts = (self.joint.to_bytes(), self.share.to_bytes(), self.tries.to_bytes(8, "big"), self.transcript)
        return joined(parts)

    @classmethod
    def of(cls, payload: bytes) -> Made:
        """Return what was sealed."""
        joint, share, tries, transcript = split(payload)
        key, own = JointKey.of(joint), KeyShare.of(share)
        return cls(joint=key, share=own, tries=int.from_bytes(tries, "big"), transcript=transcript)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a ceremony stands, for people.

    Attributes:
        what: the step whose words are due.
        waits_for: those whose words of it are not there.
        batch: batches that are done.
        tries: candidates that were rejected.
        transcript: digest over all words before this batch.
        received_bytes: that came since the daemon started.
    """

    what: str = ""
    place: int = 0
    waits_for: tuple[str, ...] = ()
    batch: int = 0
    tries: int = 0
    transcript: bytes = b""
    received_bytes: int = 0


class Making:
    """A ceremony that all holders have joined.

    Args:
        ceremony: its id: SHA-256 of the signed proposal.
        entropy: 32 secret bytes, for this ceremony alone.
        boxes: seals to the other holders.

    Attributes:
        made: the key, once it is there.
        blames: why there is none; () while there may be one.
        standing: replaced, never changed: any thread may read it.
    """

    def __init__(
        self,
        ceremony: bytes,
        terms: Ceremony,
        *,
        me: Signer,
        roster: Roster,
        coordinator: str,
        vault: Vault,
        entropy: bytes,
        boxes: Boxes,
    ) -> None:
        self.made: Made | None = None
        self.blames: tuple[Blame, ...] = ()
        self.standing = Standing()
        self._ceremony, self._terms, self._entropy, self._boxes = ceremony, terms, entropy, boxes
        self._me, self._roster, self._coordinator, self._vault = me, roster, coordinator, vault
        self._stream = secrets_of(ceremony)
        self._others = terms.others(me.member.name)
        self._state: State = Idle()
        self._sent: dict[int, list[m.Frame]] = {}  # by place, the last two
        self._heard: dict[int, dict[str, tuple[m.Frame, Heard]]] = {}
        self._batch = 0

    # --- what the driver calls --------------------------------------------------------------------------------------

    def begin(self) -> list[m.Frame]:
        """Say the first words."""
        event = Begin(ceremony=self._terms, me=self._me.member.name, entropy=self._entropy)
        return self._step(event, ())

    def restore(self) -> None:
        """Fold what was sealed: the same state and the same words."""
        events = self._vault.read(self._stream)
        for kind, payload in events:
            if kind == "made":
                self.made = Made.of(payload)
            elif kind == "word":
                self._said(payload)
        if self.made is not None:
            return
        self.begin()
        for payload in (payload for kind, payload in events if kind == "heard"):
            self._replayed(payload)
        proceeds = [payload for kind, payload in events if kind == "proceed"]
        if proceeds:
            proceed = _proceed_of(proceeds[-1])
            self._batch = proceed.batch
            self._carried_out(party.step(self._state, proceed))
            self.standing = replace(self.standing, batch=proceed.batch - 1, tries=proceed.tries)
            for kind, payload in self._vault.read(batch_stream(self._ceremony, self._batch)):
                if kind == "word":
                    self._said(payload)
                else:
                    self._replayed(payload)

    def receive(self, read: Opened[Word], frame: m.Frame) -> list[m.Frame]:
        """Take another holder's word; return what to send. Raises ProtocolViolation."""
        word, now = read.value, self._place
        if self.made is not None or self.blames or now is None or word.place < now:
            return []  # said again, for somebody else's sake
        if word.place > now + 1 or word.party not in self._others:
            raise ProtocolViolation(word.party, phase=word.what, expected="a word of this step", got="a later one")
        heard = self._heard.setdefault(word.place, {})
        if word.party in heard:
            if heard[word.party][1].word != word:
                raise ProtocolViolation(word.party, phase=word.what, expected="one word a step", got="two")
            return []
        heard[word.party] = (frame, self._unsealed(word, frame))
        self.standing = replace(self.standing, received_bytes=self.standing.received_bytes + frame.size_bytes)
        out: list[m.Frame] = []
        while (due := self._due()) is not None:
            out += self._step(Delivered(heard=tuple(one for _, one in due)), [one for one, _ in due])
        self._look()
        return out

    def ask(self, *to: str, answers: bool = False) -> list[m.Frame]:
        """Return what asks others, all of them unless some are named, for the words of theirs that are not here.

        Who lacks nothing asks as well: those who were there before learn that they can ask now, and ask back.
        """
        return [self._asking(other, self._lacks(other), answers) for other in to or self._others]

    def asked(self, ask: m.KeyAsk) -> list[m.Frame]:
        """Return what another holder lacks; and an ask of our own, if that one may have said what is not here."""
        if ask.party not in self._others:
            return []
        words = [
            frame
            for place in sorted(self._sent)
            for frame in self._sent[place]
            if place >= ask.place and frame.to == ask.party
        ]
        now = self._place  # nobody is further than the step after ours
        lacks = now is not None and self._lacks(ask.party) <= now + 1
        return words + (self.ask(ask.party, answers=True) if lacks and not ask.answers else [])

    def late(self) -> tuple[Blame, ...]:
        """Wait no longer; return whose words did not come."""
        if isinstance(self._state, Taking):
            self._carried_out(party.step(self._state, DeadlinePassed(missing=self.standing.waits_for)))
        return self.blames

    def erase(self) -> None:
        """Forget every secret of the ceremony."""
        for batch in (self._batch, self._batch + 1):
            self._vault.erase(batch_stream(self._ceremony, batch))
        self._vault.erase(self._stream)
        self._state, self._sent, self._heard = Idle(), {}, {}

    # --- the steps --------------------------------------------------------------------------------------------------

    @property
    def _place(self) -> int | None:
        """Number of the step whose words are due; None when none are."""
        return self._state.at.place if isinstance(self._state, Taking) else None

    def _lacks(self, other: str) -> int:
        """Return the number of the first step whose word of another holder is due and not here, or would be next."""
        if self._place is None:
            return max(self._sent, default=-1) + 1
        return next(place for place in count(self._place) if other not in self._heard.get(place, {}))

    def _asking(self, other: str, place: int, answers: bool) -> m.Frame:
        value = m.KeyAsk(party=self._me.member.name, ceremony=self._ceremony, place=place, answers=answers)
        return m.Frame(signed(self._me, m.KEY_ASK, value), (), self._ceremony, place, to=other)

    def _due(self) -> list[tuple[m.Frame, Heard]] | None:
        """Return the words of this step, if all of them are there."""
        heard = self._heard_now
        return [heard[name] for name in self._others] if len(heard) == len(self._others) else None

    @property
    def _heard_now(self) -> dict[str, tuple[m.Frame, Heard]]:
        return {} if self._place is None else self._heard.get(self._place, {})

    def _step(self, event: Event, frames: Sequence[m.Frame]) -> list[m.Frame]:
        """Step, seal what came before anything that follows from it leaves, and return what to send."""
        before = self._place
        transition = party.step(self._state, event)
        boundary = next((one.proceed for one in transition.effects if isinstance(one, Boundary)), None)
        out = self._carried_out(transition)
        self._seal(frames, boundary)
        if before is not None:
            self._heard.pop(before, None)
        if boundary is not None:
            self._batch = boundary.batch
            out += self._carried_out(party.step(self._state, boundary))
        return out

    def _seal(self, frames: Sequence[m.Frame], boundary: Proceed | None) -> None:
        """Keep the words that were just taken; of a batch that is over, how the next one begins, and our last word.

        Others may still lack that word, and it follows from nothing that is kept.
        """
        batch = batch_stream(self._ceremony, self._batch)
        with self._vault.together():
            if self.made is not None:
                self._vault.erase(self._stream)
                words = [frame for place in sorted(self._sent) for frame in self._sent[place]]
                kept = [("word", convert.frame_bytes(frame)) for frame in words]
                self._vault.append_many(self._stream, [("made", self.made.to_bytes()), *kept])
            elif frames and (boundary is None or not self._batch):
                heard = joined([convert.frame_bytes(one) for one in frames])
                self._vault.append_many(batch if self._batch else self._stream, [("heard", heard)])
            if boundary is not None:
                self._vault.append_many(self._stream, [("proceed", _proceed_bytes(boundary))])
            if self._batch and (boundary is not None or self.made is not None):
                self._vault.erase(batch)
            if self._batch and boundary is not None:
                last = [("word", convert.frame_bytes(frame)) for frame in self._sent[max(self._sent)]]
                self._vault.append_many(batch_stream(self._ceremony, boundary.batch), last)

    def _said(self, payload: bytes) -> None:
        """Take up a word of our own that was kept."""
        frame = convert.frame_of(payload)
        self._sent.setdefault(frame.round_index, []).append(frame)

    def _replayed(self, payload: bytes) -> None:
        heard = [self._read(convert.frame_of(one)) for one in split(payload)]
        self._carried_out(party.step(self._state, Delivered(heard=tuple(heard))))

    def _carried_out(self, transition: Transition[State, Effect]) -> list[m.Frame]:
        self._state = transition.state
        out: list[m.Frame] = []
        envelope: m.Signed | None = None
        for effect in transition.effects:
            match effect:
                case Send(to=to, word=word, box=box):
                    envelope = envelope or signed(self._me, Word.domain, word)  # the same for all of a step
                    out.append(
                        m.Frame(envelope, _pieces(self._boxes.sealed(to, word, box)), self._ceremony, word.place, to=to)
                    )
                case Progress(batch=batch, tries=tries, transcript=transcript):
                    self.standing = replace(self.standing, batch=batch, tries=tries, transcript=transcript)
                case Done(key=key, share=share, tries=tries, transcript=transcript):
                    self.made = Made(joint=key, share=share, tries=tries, transcript=transcript)
                case Abort(blames=blames):
                    self.blames = blames
                case _:
                    pass
        if out:
            self._sent[out[0].round_index] = list(out)
            for place in sorted(self._sent)[:-KEPT_STEPS]:
                del self._sent[place]
        self._look()
        return out

    def _look(self) -> None:
        """Note where it stands now."""
        now = self._place
        self.standing = replace(
            self.standing,
            what=self._state.what.value if isinstance(self._state, Taking) else "",
            place=now or 0,
            waits_for=tuple(name for name in self._others if name not in self._heard_now) if now is not None else (),
        )

    # --- words ------------------------------------------------------------------------------------------------------

    def _read(self, frame: m.Frame) -> Heard:
        relay = self._coordinator
        read = attested(frame.signed, self._roster, domain=Word.domain, kind=Word, relay=relay)
        return self._unsealed(read.value, frame)

    def _unsealed(self, word: Word, frame: m.Frame) -> Heard:
        size, (box, body) = sum(map(len, frame.parts)), longest(self._terms)
        if size > box + SPARE_BYTES or len(word.body) > body:
            raise ProtocolViolation(word.party, phase=word.what, expected="a word of bounded size", got="a longer one")
        opened = self._boxes.opened(word, b"".join(frame.parts))
        return Heard(sender=word.party, word=word, box=opened)


def boxes_of(terms: Ceremony, me: str, private: bytes, joins: Mapping[str, m.KeyJoin]) -> Boxes:
    """Return what this holder seals with. Raises ProtocolViolation."""
    return Boxes.of(terms, me, private, {name: join.box_key for name, join in joins.items()})


def secrets_of(ceremony: bytes) -> bytes:
    """Return the vault's stream of what is secret in a ceremony; erased when it ends."""
    return digest("federation/key-ceremony-secrets/v1", ceremony)


def batch_stream(ceremony: bytes, batch: int) -> bytes:
    """Return the vault's stream of one batch."""
    return digest("federation/key-ceremony-batch/v1", ceremony, batch.to_bytes(8, "big"))


def joined(parts: Sequence[bytes]) -> bytes:
    """Return several payloads as one."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def split(payload: bytes) -> list[bytes]:
    """Return what `joined` joined."""
    found, at = [], 0
    while at < len(payload):
        end = at + 8 + int.from_bytes(payload[at : at + 8], "big")
        found.append(payload[at + 8 : end])
        at = end
    return found


def _pieces(sealed: bytes) -> tuple[bytes, ...]:
    return tuple(sealed[at : at + PIECE_BYTES] for at in range(0, len(sealed), PIECE_BYTES))


def _proceed_bytes(proceed: Proceed) -> bytes:
    numbers = (proceed.batch, proceed.tries, proceed.place)
    return b"".join(number.to_bytes(8, "big") for number in numbers) + proceed.seen


def _proceed_of(payload: bytes) -> Proceed:
    batch, tries, place = (int.from_bytes(payload[at : at + 8], "big") for at in (0, 8, 16))
    return Proceed(batch=batch, tries=tries, place=place, seen=payload[24:])
