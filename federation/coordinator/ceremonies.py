"""Key ceremonies at the coordinator: who proposed what, who joined, who signed; words are passed on and forgotten.

It stores proposals, joins and certificates, each as its member signed it, and how a ceremony ended. Words and boxes are
for the holders: they are not kept, and who lacks one asks its sender, who has the last two. What is wrong in a ceremony
ends that ceremony, with a reason for all holders, and no line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from federation.coordinator.joint_keys import JointKeys
from federation.coordinator.run import Outgoing, blame_of
from federation.coordinator.store import CEREMONY, Store
from federation.crypto.agreement import BadPublicKey, check_public
from federation.domain.job import Blame, State
from federation.domain.roster import Roster
from federation.errors import FederationError, JobFailed, Misuse, ProtocolViolation, Unavailable
from federation.protocols.key_ceremony.estimate import longest
from federation.protocols.key_ceremony.messages import Word
from federation.protocols.key_ceremony.terms import Ceremony
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import ceremony_of, key_in
from federation.wire.envelope import Opened, Signer, attested, signed

MOST_OPEN = 4  # ceremonies of one proposer that have not ended
SPARE_BYTES = 64  # of a sealed box beside what is in it
MESSAGES = (m.KeyProposal, m.KeyJoin, Word, m.KeyAsk, m.KeyCertificate)


@dataclass(slots=True)
class Entry:
    """One ceremony.

    Attributes:
        id: SHA-256 of the signed proposal.
        ended: why there is no key; None while there may be one.
    """

    id: bytes
    proposal: m.Signed
    value: m.KeyProposal
    terms: Ceremony
    joins: dict[str, m.Signed] = field(default_factory=dict)
    certificates: dict[str, m.Signed] = field(default_factory=dict)
    ended: m.Ended | None = None

    @property
    def complete(self) -> bool:
        """Whether all holders have signed the key."""
        return len(self.certificates) == len(self.value.holders)

    @property
    def closed(self) -> bool:
        """Whether nothing more is done in it."""
        return self.complete or self.ended is not None

    @property
    def owing(self) -> tuple[str, ...]:
        """The holders who have not joined, or else those who have not signed."""
        done = self.joins if len(self.joins) < len(self.value.holders) else self.certificates
        return tuple(holder for holder in self.value.holders if holder not in done)


class Ceremonies:
    """All ceremonies of one federation.

    Args:
        me: the coordinator, who signs news.
        roster: who is a member.
        store: keeps what members signed.
        keys: gets every key that all its holders signed.
        clock: Unix time in milliseconds.
    """

    def __init__(self, me: Signer, roster: Roster, store: Store, keys: JointKeys, clock: Callable[[], int]) -> None:
        self._me, self._roster, self._store, self._keys, self._clock = me, roster, store, keys, clock
        self._entries: dict[bytes, Entry] = {}

    def takes(self, value: object) -> bool:
        """Return whether a message is one of a ceremony."""
        return isinstance(value, MESSAGES) or (isinstance(value, m.Objection) and value.job_hash in self._entries)

    def knows(self, ceremony: bytes) -> bool:
        """Return whether this is the id of a ceremony."""
        return ceremony in self._entries

    def attend(self, party: str, open_ids: Iterable[bytes]) -> list[Outgoing]:
        """Return what a party that attends has to get; `open_ids` are those that it has not seen the end of."""
        asked = set(open_ids)
        due = [entry for entry in self._entries.values() if party in entry.value.holders]
        return [self._told(entry, party) for entry in due if not entry.closed or entry.id in asked]

    def receive(self, party: str, message: Opened[object], frame: m.Frame) -> list[Outgoing]:
        """Return what to send after a holder's message. Raises Unavailable: the store cannot be written."""
        try:
            return self._taken(party, message, frame)
        except Unavailable:
            raise
        except FederationError as fault:
            blame = blame_of(fault)
        except Exception as fault:  # noqa: BLE001 - a defect of ours ends this ceremony, not the coordinator
            blame = blame_of(JobFailed(f"the coordinator failed at this ceremony with {type(fault).__name__}"))
        entry = self._entries.get(self._about(message, frame))
        if entry is not None and party in entry.value.holders and not entry.closed:
            return self._end(entry, blame)
        return [self._ended(party, self._about(message, frame), (blame,))]

    def next_deadline_ms(self) -> int | None:
        """Return when `tick` has to be called next, or None."""
        return min((entry.value.deadline_ms for entry in self._entries.values() if not entry.closed), default=None)

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Give up the ceremonies whose deadline has passed, naming who did not do what was due."""
        late = [one for one in self._entries.values() if not one.closed and one.value.deadline_ms <= now_ms]
        return [out for entry in late for out in self._end(entry, self._late(entry))]

    def resume(self) -> None:
        """Take up the store. What members of an earlier roster signed under keys that are gone is not taken up."""
        for ceremony in self._store.ceremonies():
            try:
                self._fold(ceremony)
            except FederationError:
                self._entries.pop(ceremony, None)

    # --- what arrives -----------------------------------------------------------------------------------------------

    def _taken(self, party: str, message: Opened[object], frame: m.Frame) -> list[Outgoing]:
        if isinstance(message.value, m.KeyProposal):
            return self._proposed(party, Opened(message.sender, message.value, message.digest), frame.signed)
        entry = self._entries.get(self._about(message, frame))
        if entry is None or party not in entry.value.holders:
            raise Misuse("the coordinator knows of no such ceremony of yours", hint="federation key status")
        if entry.closed:
            return [self._told(entry, party)]
        match message.value:
            case m.KeyJoin() as join:
                return self._joined(entry, join, frame.signed)
            case m.KeyCertificate() as certificate:
                return self._signed(entry, party, certificate, frame.signed)
            case m.Objection(blame=blame):
                told = blame.message if blame.party == party else convert.sayable(f"{party} says: {blame.message}")
                return self._end(entry, Blame(party=blame.party, code=blame.code, message=told, hint=blame.hint))
            case Word() | m.KeyAsk():
                return [self._relayed(entry, party, message.value, frame)]
        raise Misuse("there is no such message in a ceremony")

    def _proposed(self, party: str, proposal: Opened[m.KeyProposal], envelope: m.Signed) -> list[Outgoing]:
        if proposal.digest in self._entries:
            return [self._told(self._entries[proposal.digest], party)]
        entry = self._entry(proposal, envelope)
        if entry.value.deadline_ms <= self._clock():
            raise Misuse("the ceremony's deadline has passed", hint="propose another one; is the clock right?")
        if sum(not one.closed and one.value.proposer == party for one in self._entries.values()) >= MOST_OPEN:
            raise Misuse(f"{party} has {MOST_OPEN} ceremonies open", hint="federation key decline ends one")
        self._store.append(entry.id, [(CEREMONY, convert.signed_bytes(envelope))])
        self._entries[entry.id] = entry
        return self._news(entry)

    def _joined(self, entry: Entry, join: m.KeyJoin, envelope: m.Signed) -> list[Outgoing]:
        known = entry.joins.get(join.party)
        if known == envelope:
            return [self._told(entry, join.party)]
        try:
            check_public(join.box_key)
        except BadPublicKey as fault:
            raise ProtocolViolation(join.party, phase="key-join", expected="a public key", got=str(fault)) from None
        if known is not None:
            raise ProtocolViolation(join.party, phase="key-join", expected="one join", got="two")
        self._store.append(entry.id, [("join", convert.signed_bytes(envelope))])
        entry.joins[join.party] = envelope
        return self._news(entry)

    def _signed(self, entry: Entry, party: str, certificate: m.KeyCertificate, envelope: m.Signed) -> list[Outgoing]:
        if entry.certificates.get(party) == envelope:
            return [self._told(entry, party)]
        others = {one.body for one in entry.certificates.values()}
        joint = None if others else key_in(certificate, party)
        fits = joint is None or (joint.holders, joint.public.bits) == (entry.value.holders, entry.value.bits)
        if not fits or certificate.made_ms != entry.value.made_ms or not others <= {envelope.body}:
            expected = "the key that was proposed, the same as all others'"
            raise ProtocolViolation(party, phase="key-certificate", expected=expected, got="another one")
        self._store.append(entry.id, [("certificate", convert.signed_bytes(envelope))])
        entry.certificates[party] = envelope
        if entry.complete:
            self._keys.keep(entry.certificates.values())
        return self._news(entry)

    def _relayed(self, entry: Entry, party: str, value: Word | m.KeyAsk, frame: m.Frame) -> Outgoing:
        """Return the frame for the one holder that it is for, as it came."""
        box, body = longest(entry.terms)
        known = entry.terms.hash if isinstance(value, Word) else entry.id
        size = sum(map(len, frame.parts))
        begun = len(entry.joins) == len(entry.value.holders)
        if frame.to not in entry.terms.others(party) or value.ceremony != known or not begun:
            raise ProtocolViolation(party, phase="key ceremony", expected="a word for another holder", got="another")
        if isinstance(value, Word) and (size > box + SPARE_BYTES or len(value.body) > body):
            raise ProtocolViolation(party, phase=value.what, expected="a word of bounded size", got="a longer one")
        return Outgoing(frame.to, frame)

    # --- what is told -----------------------------------------------------------------------------------------------

    def _told(self, entry: Entry, party: str) -> Outgoing:
        if entry.ended is not None:
            return self._ended(party, entry.id, entry.ended.blames, entry.ended.state)
        return Outgoing(party, self._news_frame(entry))

    def _news(self, entry: Entry) -> list[Outgoing]:
        frame = self._news_frame(entry)
        return [Outgoing(holder, frame) for holder in entry.value.holders]

    def _news_frame(self, entry: Entry) -> m.Frame:
        news = m.KeyNews(
            proposal=entry.proposal,
            joins=tuple(entry.joins.values()),
            certificates=tuple(entry.certificates.values()),
        )
        return m.Frame(signed(self._me, m.KEY_NEWS, news), job_hash=entry.id)

    def _end(self, entry: Entry, blame: Blame) -> list[Outgoing]:
        begun = len(entry.joins) == len(entry.value.holders)
        state = State.ABORTED if begun else State.REFUSED
        ended = m.Ended(job_hash=entry.id, state=state, blames=(blame,))
        self._store.append(entry.id, [("ended", convert.BODIES[m.ENDED].encode(ended))])
        entry.ended = ended
        return [self._told(entry, holder) for holder in entry.value.holders]

    def _ended(self, party: str, ceremony: bytes, blames: tuple[Blame, ...], state: State = State.REFUSED) -> Outgoing:
        ended = m.Ended(job_hash=ceremony, state=state, blames=blames)
        return Outgoing(party, m.Frame(signed(self._me, m.ENDED, ended), job_hash=ceremony))

    @staticmethod
    def _late(entry: Entry) -> Blame:
        who = ", ".join(entry.owing)
        did = "not approve" if len(entry.joins) < len(entry.value.holders) else "not come to the end"
        message = f"the deadline of the ceremony passed: {who} did {did}"
        return Blame(party=entry.owing[0] if len(entry.owing) == 1 else "", code=Unavailable.code, message=message)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _entry(self, proposal: Opened[m.KeyProposal], envelope: m.Signed) -> Entry:
        terms = ceremony_of(proposal, self._roster)
        return Entry(id=proposal.digest, proposal=envelope, value=proposal.value, terms=terms)

    def _fold(self, ceremony: bytes) -> None:
        (_, first), *rest = self._store.events(ceremony)
        envelope = convert.signed_of(first)
        proposal = attested(envelope, self._roster, domain=m.KEY_PROPOSAL, kind=m.KeyProposal, relay="the store")
        entry = self._entries[ceremony] = self._entry(proposal, envelope)
        for kind, payload in rest:
            if kind == "ended":
                entry.ended = convert.ended_of(payload)
                continue
            envelope = convert.signed_of(payload)
            member = self._roster.by_key_id(envelope.key_id)
            if member is not None:
                (entry.joins if kind == "join" else entry.certificates)[member.name] = envelope
        if entry.complete:
            self._keys.keep(entry.certificates.values())

    @staticmethod
    def _about(message: Opened[object], frame: m.Frame) -> bytes:
        match message.value:
            case m.KeyProposal():
                return message.digest
            case m.KeyJoin(ceremony=ceremony) | m.KeyAsk(ceremony=ceremony) | m.Objection(job_hash=ceremony):
                return ceremony
            case _:
                return frame.job_hash  # a word has the hash of the terms, a certificate none: both are checked
