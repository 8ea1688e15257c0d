"""Key ceremonies at a jurisdiction: what was proposed, what its operator approved, and the keys that came of it.

A daemon makes no key that its operator did not approve: a proposal waits until somebody who may command the daemon says
yes. Synchronous; the daemon calls it from one thread, since steps take seconds, and `standing` from any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from clients.jurisdiction.joint_keys import JointKeys
from clients.jurisdiction.making import Making, Standing, boxes_of, joined, split
from clients.jurisdiction.outcomes import Shown
from clients.jurisdiction.vault import Vault
from federation.crypto.agreement import key_pair
from federation.crypto.paillier.keys import PRODUCTION_BITS
from federation.domain.job import Blame, digest
from federation.domain.roster import Roster
from federation.errors import FederationError, JobFailed, Misuse, ProtocolViolation, Refused
from federation.protocols.key_ceremony.messages import Word
from federation.protocols.key_ceremony.terms import Ceremony
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS, ceremony_of, certified
from federation.wire.convert import sayable
from federation.wire.envelope import Opened, Signer, attested, opened, signed

CEREMONIES = b"open key ceremonies"  # the vault's key for the list of those whose end was not seen
OVER = b"ended key ceremony/"  # before an id, the vault's key of one that is over here
LAST = b"last key ceremonies"  # the vault's key for how the last few ended
DOMAINS = (m.KEY_NEWS, m.KEY_ASK, Word.domain)
EARLY_MS = 10 * 60 * 1000  # how far another member's clock may be ahead
LAST_ENDED = 5  # that an operator is shown


@dataclass(slots=True)
class Entry:
    """One ceremony whose end was not seen.

    Attributes:
        secret: entropy and the private key of boxes, 32 bytes each, once the operator has approved.
        joins: who has joined, as the coordinator says.
        certificate: ours, once the key is made.
        unheard: whether no news of it have come on this line: what others said before it was open is lost.
    """

    id: bytes
    envelope: m.Signed
    value: m.KeyProposal
    terms: Ceremony
    secret: bytes = field(default=b"", repr=False)
    joins: dict[str, m.KeyJoin] = field(default_factory=dict)
    making: Making | None = None
    certificate: m.Signed | None = None
    begun_ms: int = 0
    unheard: bool = True


class Ceremonies:
    """All ceremonies of one jurisdiction.

    Args:
        keys: gets every key that is made, and loses those whose epoch is over.
        entropy: returns so many fresh secret bytes.
        clock: Unix time in milliseconds.
        development: whether keys that protect nobody, shorter than 2048 bits, may be made here: for tests.
        note: called with (event, ceremony, text) for the operator's log.
    """

    def __init__(
        self,
        *,
        me: Signer,
        coordinator: str,
        roster: Roster,
        vault: Vault,
        keys: JointKeys,
        entropy: Callable[[int], bytes],
        clock: Callable[[], int],
        development: bool = False,
        note: Callable[[str, str, str], None] = lambda *_: None,
    ) -> None:
        self._me, self._coordinator, self._roster, self._vault = me, coordinator, roster, vault
        self._entropy, self._clock, self._development, self._note = entropy, clock, development, note
        self._keys = keys
        self._entries: dict[bytes, Entry] = {}
        self._ended: list[Shown] = []
        self._known_over: set[bytes] = set()  # since the daemon started
        self._restore()

    # --- what the daemon calls --------------------------------------------------------------------------------------

    @property
    def open(self) -> tuple[bytes, ...]:
        """The ceremonies whose end was not seen, for the hello."""
        return tuple(self._entries)

    def takes(self, domain: str, about: bytes) -> bool:
        """Return whether a frame of the coordinator is about a ceremony; any thread may ask."""
        return domain in DOMAINS or (domain == m.ENDED and (about in self._entries or about in self._known_over))

    def greeting(self) -> list[m.Frame]:
        """Return what is said on every new line: what the others lack is asked for, and what we owe them."""
        out = self.tick()
        for entry in list(self._entries.values()):
            entry.unheard = True
            out += self._owed(entry)
            if entry.making is not None:
                out += entry.making.ask()
        return out

    def receive(self, frame: m.Frame) -> list[m.Frame]:
        """Return what to send after a frame. Raises ProtocolViolation: it cannot be tied to a ceremony."""
        message = opened(frame.signed, self._roster, relay=self._coordinator)
        match message.value:
            case m.KeyNews() as news if message.sender == self._coordinator:
                return self.tick() + self._told(news)
            case m.Ended(job_hash=ceremony, blames=blames) if message.sender == self._coordinator:
                self._over(ceremony, blames)
                return []
            case Word() as word:
                read = Opened(message.sender, word, message.digest)
                return self._guarded(frame.job_hash, lambda making: making.receive(read, frame))
            case m.KeyAsk(ceremony=ceremony) as ask:
                return self._guarded(ceremony, lambda making: making.asked(ask))
        raise ProtocolViolation(
            self._coordinator, phase="key ceremony", expected="news, a word or an end", got="another message"
        )

    def tick(self) -> list[m.Frame]:
        """Give up what is late, and erase the shares of keys whose epoch is over."""
        now, out = self._clock(), list[m.Frame]()
        for key in self._keys.erase_expired(now):
            self._note("key expired", key.hex()[:8], "its share is erased")
        for entry in [one for one in self._entries.values() if one.value.deadline_ms <= now]:
            late = entry.making.late() if entry.making is not None else ()
            blame = late[0] if late else Blame(party="", code="unavailable", message="the ceremony's deadline passed")
            out += self._object(entry, blame)
        return out

    # --- what an operator says --------------------------------------------------------------------------------------

    def propose(self, holders: Sequence[str], bits: int, lasting_ms: int) -> tuple[bytes, list[m.Frame]]:
        """Propose a key and approve it here; return its ceremony's id and what to send. Raises Refused, Misuse."""
        now = self._clock()
        value = m.KeyProposal(
            proposer=self._me.member.name,
            holders=tuple(sorted(set(holders))),
            bits=bits,
            made_ms=now,
            deadline_ms=now + lasting_ms,
            roster_hash=self._roster.hash,
            token=self._entropy(16),
        )
        envelope = signed(self._me, m.KEY_PROPOSAL, value)
        entry = self._proposed(envelope)
        self._approved(entry)
        return entry.id, self._owed(entry)

    def approve(self, prefix: str = "") -> tuple[bytes, list[m.Frame]]:
        """Let a proposed key be made: the one whose id begins so. Raises Misuse."""
        entry = self._named(prefix, lambda one: not one.secret, "is waiting for an approval")
        self._approved(entry)
        return entry.id, self._owed(entry)

    def decline(self, prefix: str = "") -> tuple[bytes, list[m.Frame]]:
        """End a ceremony, for all its holders. Raises Misuse."""
        entry = self._named(prefix, lambda _: True, "is open")
        me = self._me.member.name
        blame = Blame(party=me, code=Refused.code, message=f"the operator of {me} declined", rule="key/approval")
        return entry.id, self._object(entry, blame)

    def shown(self) -> tuple[Shown, ...]:
        """Return the last few ceremonies that ended, then those that are open; any thread may ask."""
        return tuple(self._ended) + tuple(self._shown(entry) for entry in list(self._entries.values()))

    # --- news -------------------------------------------------------------------------------------------------------

    def _told(self, news: m.KeyNews) -> list[m.Frame]:
        read = self._read(news.proposal)
        entry = self._entries.get(read.digest)
        if entry is None:
            if self._vault.get(OVER + read.digest) is not None:
                return []
            try:
                entry = self._proposed(news.proposal)
            except FederationError as fault:
                return [self._objection(read.digest, _blame_of(fault, self._me.member.name))]
            self._note("key proposed", read.digest.hex()[:8], f"{read.value.bits} bits, {read.value.proposer}")
        try:
            return self._followed(entry, news)
        except FederationError as fault:
            return self._object(entry, _blame_of(fault, self._me.member.name))

    def _followed(self, entry: Entry, news: m.KeyNews) -> list[m.Frame]:
        """Take up what is new: joins, then certificates."""
        for envelope in news.joins:
            read = attested(envelope, self._roster, domain=m.KEY_JOIN, kind=m.KeyJoin, relay=self._coordinator)
            known = entry.joins.setdefault(read.value.party, read.value)
            if read.value.ceremony != entry.id or read.sender not in entry.terms.holders or known != read.value:
                raise self._broken("one join of each holder to this ceremony", "another")
        mine = entry.joins.get(self._me.member.name)
        if mine is not None and (not entry.secret or mine != self._join(entry)):
            raise Refused(
                f"{self._me.member.name} has joined this ceremony, and its memory does not know of it: an old copy",
                rule="rollback",
                hint="propose another ceremony",
            )
        out = self._owed(entry, news)
        if len(entry.joins) == len(entry.terms.holders) and entry.secret and entry.making is None:
            joins = [convert.signed_bytes(one) for one in news.joins]
            self._vault.append_many(entry.id, [("join", join) for join in joins])
            entry.making, entry.begun_ms = self._making(entry), self._clock()
            out += entry.making.begin()
            if entry.unheard:
                out += entry.making.ask()
            self._note("key ceremony begins", entry.id.hex()[:8], "")
        entry.unheard = False
        if len(news.certificates) == len(entry.terms.holders):
            self._certified(entry, news.certificates)
        return out

    def _certified(self, entry: Entry, signatures: Sequence[m.Signed]) -> None:
        """Hold the key from now on: all holders have signed what we made."""
        found = certified(signatures, self._roster, relay=self._coordinator)
        made = entry.making.made if entry.making is not None else None
        if made is None or entry.certificate is None or entry.certificate not in found.signatures:
            raise self._broken("the certificate of the key that we made", "another one")
        with self._vault.together():
            self._keys.keep(found, made.share)
            self._close(entry, "made")
        self._note("key made", found.digest.hex()[:8], f"{entry.value.bits} bits after {made.tries} tries")

    def _owed(self, entry: Entry, news: m.KeyNews | None = None) -> list[m.Frame]:
        """Return what the coordinator may lack of us: the proposal, our join, our certificate."""
        me, out = self._me.member.name, list[m.Frame]()
        if news is None and entry.value.proposer == me:
            out.append(m.Frame(entry.envelope, job_hash=entry.id))
        if entry.secret and (news is None or me not in entry.joins):
            out.append(m.Frame(signed(self._me, m.KEY_JOIN, self._join(entry)), job_hash=entry.id))
        if entry.certificate is not None and (news is None or entry.certificate not in news.certificates):
            out.append(m.Frame(entry.certificate, job_hash=entry.id))
        return out

    # --- the machine ------------------------------------------------------------------------------------------------

    def _guarded(self, ceremony: bytes, act: Callable[[Making], list[m.Frame]]) -> list[m.Frame]:
        """Let a ceremony act; what goes wrong ends it here, with a signed objection."""
        entry = self._entries.get(ceremony)
        if entry is None or entry.making is None:
            return []  # it ended here, or news of it are on the way: whoever lacks our words asks
        try:
            out = act(entry.making)
        except FederationError as fault:
            return self._object(entry, _blame_of(fault, self._me.member.name))
        except Exception as fault:  # noqa: BLE001 - a defect ends this ceremony, not the daemon, at every start again
            defect = JobFailed(f"{self._me.member.name} failed at this ceremony with {type(fault).__name__}")
            return self._object(entry, _blame_of(defect, self._me.member.name))
        if entry.making.blames:
            return out + self._object(entry, entry.making.blames[0])
        if entry.making.made is not None and entry.certificate is None:
            self._sign(entry)
            out += self._owed(entry, m.KeyNews(proposal=entry.envelope))
        return out

    def _sign(self, entry: Entry) -> None:
        made = entry.making.made if entry.making is not None else None
        if made is not None:
            value = m.KeyCertificate(
                joint_key=made.joint.to_bytes(),
                transcript=made.transcript,
                made_ms=entry.value.made_ms,
                expires_ms=entry.value.made_ms + EPOCH_MS,
            )
            entry.certificate = signed(self._me, m.KEY_CERTIFICATE, value)

    def _making(self, entry: Entry) -> Making:
        boxes = boxes_of(entry.terms, self._me.member.name, entry.secret[32:], entry.joins)
        return Making(
            entry.id,
            entry.terms,
            me=self._me,
            roster=self._roster,
            coordinator=self._coordinator,
            vault=self._vault,
            entropy=entry.secret[:32],
            boxes=boxes,
        )

    # --- inside -----------------------------------------------------------------------------------------------------

    def _proposed(self, envelope: m.Signed) -> Entry:
        """Remember a proposal that could be approved. Raises Refused, Misuse, ProtocolViolation."""
        read = self._read(envelope)
        value, me = read.value, self._me.member.name
        terms = ceremony_of(read, self._roster)
        if me not in value.holders:
            raise self._broken("a proposal for this holder", "one for others")
        if value.bits < PRODUCTION_BITS and not self._development:
            raise Refused(
                f"{me} makes no key of {value.bits} bits: one of fewer than {PRODUCTION_BITS} protects nobody",
                rule="key/length",
                hint="development_keys = true in [jurisdiction] permits it, for tests alone",
                party=me,
            )
        if value.made_ms > self._clock() + EARLY_MS or value.deadline_ms <= self._clock():
            raise Refused(
                f"the key was proposed in the future, or its deadline has passed, by {me}'s clock",
                rule="key/time",
                hint="compare the clocks of the members, and propose it again",
                party=me,
            )
        entry = self._entries[read.digest] = Entry(id=read.digest, envelope=envelope, value=value, terms=terms)
        with self._vault.together():
            self._vault.append_many(entry.id, [("proposal", convert.signed_bytes(envelope))])
            self._list()
        return entry

    def _approved(self, entry: Entry) -> None:
        """Draw the secrets of a ceremony: they are sealed before anything that follows from them leaves."""
        entry.secret = self._entropy(64)
        self._vault.append_many(approval_of(entry.id), [("secret", entry.secret)])
        self._note("key approved", entry.id.hex()[:8], "")

    def _join(self, entry: Entry) -> m.KeyJoin:
        public = key_pair(entry.secret[32:])[1]
        return m.KeyJoin(party=self._me.member.name, ceremony=entry.id, box_key=public)

    def _named(self, prefix: str, fits: Callable[[Entry], bool], how: str) -> Entry:
        found = [one for one in self._entries.values() if one.id.hex().startswith(prefix.lower()) and fits(one)]
        if len(found) != 1:
            which = f"no key ceremony {how}" if not found else f"{len(found)} key ceremonies are meant"
            raise Misuse(which, hint="`federation key status FILE` lists them; name one by the first letters of its id")
        return found[0]

    def _object(self, entry: Entry, blame: Blame) -> list[m.Frame]:
        """End a ceremony here and say why: the coordinator tells the others."""
        frame = self._objection(entry.id, blame)
        self._over(entry.id, (blame,))
        return [frame]

    def _objection(self, ceremony: bytes, blame: Blame) -> m.Frame:
        value = m.Objection(party=self._me.member.name, job_hash=ceremony, blame=blame)
        return m.Frame(signed(self._me, m.OBJECTION, value), job_hash=ceremony)

    def _over(self, ceremony: bytes, blames: Sequence[Blame]) -> None:
        entry = self._entries.get(ceremony)
        if entry is None:
            return
        why = "; ".join(blame.message for blame in blames)
        with self._vault.together():
            self._close(entry, "failed", why)
        self._note("no key made", ceremony.hex()[:8], why)

    def _close(self, entry: Entry, end: str, why: str = "") -> None:
        """Erase everything of a ceremony but how it ended; within a transaction."""
        self._ended = [*self._ended, self._shown(entry, end, why)][-LAST_ENDED:]
        self._known_over.add(entry.id)
        del self._entries[entry.id]
        if entry.making is not None:
            entry.making.erase()
        self._vault.erase(approval_of(entry.id))
        self._vault.erase(entry.id)
        self._vault.put(OVER + entry.id, b"over")
        self._vault.put(LAST, joined([one.to_bytes() for one in self._ended]))
        self._list()

    def _list(self) -> None:
        self._vault.put(CEREMONIES, b"".join(self._entries))

    def _restore(self) -> None:
        """Fold what was sealed; a ceremony of another roster, or of an older version, is over."""
        self._ended = [Shown.of(one) for one in split(self._vault.get(LAST) or b"")]
        listed = self._vault.get(CEREMONIES) or b""
        for at in range(0, len(listed), 32):
            ceremony = listed[at : at + 32]
            events = self._vault.read(ceremony)
            envelope = convert.signed_of(events[0][1])
            try:
                read = self._read(envelope)
                terms = ceremony_of(read, self._roster)
            except FederationError:
                with self._vault.together():
                    self._vault.erase(approval_of(ceremony))
                    self._vault.put(OVER + ceremony, b"over")
                continue
            entry = self._entries[ceremony] = Entry(id=ceremony, envelope=envelope, value=read.value, terms=terms)
            self._restore_making(entry, [convert.signed_of(payload) for kind, payload in events if kind == "join"])
        self._list()

    def _restore_making(self, entry: Entry, joins: Sequence[m.Signed]) -> None:
        secret = [payload for kind, payload in self._vault.read(approval_of(entry.id)) if kind == "secret"]
        entry.secret = secret[0] if secret else b""
        for envelope in joins:
            read = attested(envelope, self._roster, domain=m.KEY_JOIN, kind=m.KeyJoin, relay=self._coordinator)
            entry.joins[read.value.party] = read.value
        if joins:
            entry.making, entry.begun_ms = self._making(entry), self._clock()
            entry.making.restore()
            self._sign(entry)

    def _read(self, proposal: m.Signed) -> Opened[m.KeyProposal]:
        relay = self._coordinator
        return attested(proposal, self._roster, domain=m.KEY_PROPOSAL, kind=m.KeyProposal, relay=relay)

    def _broken(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(self._coordinator, phase="key ceremony", expected=expected, got=got)

    def _shown(self, entry: Entry, end: str = "", why: str = "") -> Shown:
        made = entry.making.made if entry.making is not None else None
        state = "making" if entry.making is not None else "approved" if entry.secret else "proposed"
        return Shown(
            id=entry.id,
            proposal=entry.value,
            state=end or ("signing" if made is not None else state),
            joined=tuple(sorted({*entry.joins, *({self._me.member.name} if entry.secret else ())})),
            standing=entry.making.standing if entry.making is not None else Standing(),
            begun_ms=entry.begun_ms,
            ended_ms=self._clock() if end else 0,
            why=why,
            key=made.joint.digest if made is not None else b"",
            tries=made.tries if made is not None else 0,
            transcript=made.transcript if made is not None else b"",
        )


def approval_of(ceremony: bytes) -> bytes:
    """Return the vault's stream of what was drawn when the operator approved; erased when the ceremony is over."""
    return digest("federation/key-ceremony-approval/v1", ceremony)


def _blame_of(fault: FederationError, me: str) -> Blame:
    rule = fault.rule if isinstance(fault, Refused) else ""
    return Blame(
        party=fault.party or me, code=fault.code, message=sayable(fault.message), hint=sayable(fault.hint), rule=rule
    )
