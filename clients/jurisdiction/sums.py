"""One secure sum at a jurisdiction: the party's machine, every event sealed before its effects leave.

A restart folds the sealed events: the same state and the same bytes to send. What opens the total is not sealed: in its
place the total is, in the job's own stream, and everything of the sum is erased.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from clients.jurisdiction.joint_keys import Held
from clients.jurisdiction.letting_go import let_go, views
from clients.jurisdiction.vault import Vault
from federation.domain.job import digest
from federation.domain.roster import Roster
from federation.errors import JobFailed, ProtocolViolation
from federation.protocols.events import (
    Attested,
    Begin,
    Contribute,
    Delivered,
    Parcel,
    PartyEffect,
    PartyEvent,
    Release,
    Send,
    Withdraw,
)
from federation.protocols.secure_sum import Awaits, SecureSum, State
from federation.protocols.setup import Setup
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.bulk import LONG_BYTES
from federation.wire.envelope import Opened, Signer, digest_of, opened_each, signed


def secrets_of(job_hash: bytes, index: int, attempt: int) -> bytes:
    """Return the vault's stream of one attempt at a sum: entropy, bundles, the encoded vector; erased when it ends."""
    return digest("federation/sum-secrets/v2", job_hash, index.to_bytes(8, "big"), attempt.to_bytes(8, "big"))


class Sum:
    """One attempt at one secure sum.

    Args:
        protocol: the job's secure sum.
        setup: who sums.
        me: signs for the jurisdiction.
        roster: whose signatures count.
        coordinator: the member who forwards.
        vault: what remembers.
        held: the joint key of the setup and our share of it, None for sums without one; it is sealed on its own.
        spares: a long vector may be let go of once it is out.

    Attributes:
        sent: what was sent, in order.
        spent: whether a long vector was let go of: to send it again the sum has to be restored.
    """

    def __init__(
        self,
        protocol: type[SecureSum],
        setup: Setup,
        *,
        me: Signer,
        roster: Roster,
        coordinator: str,
        vault: Vault,
        held: Held | None = None,
        spares: bool = False,
    ) -> None:
        self.setup, self._spares = setup, spares
        self.sent: list[m.Frame] = []
        self.spent = False
        self._loose: list[m.Frame] = []
        self._protocol, self._me, self._roster, self._coordinator = protocol, me, roster, coordinator
        self._vault, self._held = vault, held
        self._later = frozenset(kind.domain for kind in protocol.deferred)
        self._stream = secrets_of(setup.job_hash, setup.round_index, setup.attempt)
        self._state: State = protocol.party()
        self._seen: set[bytes] = set()
        self._read: dict[m.Signed, Opened[object]] = {}

    @property
    def awaits(self) -> Awaits:
        """What the party waits for."""
        return self._state.awaits

    def begin(self, entropy: bytes) -> Sequence[PartyEffect]:
        """Take part, with 32 fresh secret bytes; they are sealed before a key leaves."""
        return self._step(self._begin(entropy), "begin", entropy)

    def contribute(self, vector: Contribute) -> Sequence[PartyEffect]:
        """Mask the encoded answer; it is sealed before the first masked byte leaves.

        A long one is made again after a restart, and has to be the same: of it the head is sealed that we sign.
        """
        number = vector.number.to_bytes(8, "big")
        if len(vector.vector) <= LONG_BYTES:
            return self._step(vector, "vector", number + vector.vector)
        transition = self._protocol.party_step(self._state, vector)
        self._state = transition.state
        self._frames(transition.effects, loose=self._spares)
        self._vault.append_many(self._stream, [("made", number + self._said())])
        return transition.effects

    def deliver(self, bundle: m.Bundle, frame: m.Frame) -> Sequence[PartyEffect]:
        """Take a bundle; the same one again has no effects. Raises ProtocolViolation."""
        if self.knows(frame):
            return ()
        parcels = self.parcels(bundle, frame)
        long = sum(map(len, frame.parts)) > LONG_BYTES  # not sealed: what follows is drawn by our own lot, and it
        payload = b"" if long else convert.frame_bytes(frame)  # comes again to whoever attends again
        effects = self._step(Delivered(parcels=parcels), "" if long else "delivered", payload)
        self._seen.add(hashlib.sha256(frame.signed.body).digest())
        return effects

    def let_go(self, frame: m.Frame) -> None:
        """Hold a long vector that is out no longer: the coordinator has it, and it can be made again."""
        if any(frame is one for one in self._loose):
            self.spent = True
            let_go(frame.parts)

    def withdraw(self) -> Sequence[PartyEffect]:
        """Sign that this attempt was not opened and never will be, if that is true; nothing goes on after that."""
        return () if self._state.ended else self._step(Withdraw(), "withdraw", b"")

    def knows(self, frame: m.Frame) -> bool:
        """Return whether this bundle came before: after a broken line everything is sent again."""
        return hashlib.sha256(frame.signed.body).digest() in self._seen

    def withdrawn(self, bundle: m.Bundle, frame: m.Frame) -> bool:
        """Return whether the bundle proves that nobody can open this attempt any more. Raises ProtocolViolation."""
        parcels = self.parcels(bundle, frame)
        if not all(isinstance(parcel.message.value, self._protocol.withdrawal) for parcel in parcels):
            return False
        for parcel in parcels:
            self._protocol.check_withdrawal(self.setup, parcel, self._coordinator)
        if len({parcel.message.sender for parcel in parcels}) < self.setup.withdrawals:
            raise self._broken(f"{self.setup.withdrawals} withdrawals of different parties", "fewer")
        return True

    def restore(self, contributed: Callable[[int, bytes | None], Contribute]) -> list[Sequence[PartyEffect]]:
        """Fold what was sealed and return all effects again.

        Args:
            contributed: makes the event of a sealed vector; of None, where a long one has to be made again.

        Raises:
            JobFailed: what was made again is not what was sent.
        """
        found: list[Sequence[PartyEffect]] = []
        for kind, payload in self._vault.read(self._stream):
            match kind:
                case "begin":
                    event: PartyEvent = self._begin(payload)
                case "vector":
                    event = contributed(int.from_bytes(payload[:8], "big"), payload[8:])
                case "made":
                    event = contributed(int.from_bytes(payload[:8], "big"), None)
                case "withdraw":
                    event = Withdraw()
                case _:
                    frame = convert.frame_of(payload)
                    event = Delivered(parcels=self.parcels(convert.bundle_of(frame.signed.body), frame))
                    self._seen.add(hashlib.sha256(frame.signed.body).digest())
            transition = self._protocol.party_step(self._state, event)
            self._state = transition.state
            self._frames(transition.effects, loose=self._spares and kind == "made")
            if kind == "made" and payload[8:] != self._said():
                raise JobFailed(
                    f"{self._me.member.name} cannot make again what it sent before it was restarted",
                    hint="ask again: equal data, software and processors make equal updates",
                    party=self._me.member.name,
                )
            found.append(transition.effects)
        return found

    def erase(self) -> None:
        """Forget every secret of this attempt, ours and the shares of others'."""
        self._vault.erase(self._stream)
        self.sent.clear()
        self._loose.clear()
        self._state = self._protocol.party()

    def parcels(self, bundle: m.Bundle, frame: m.Frame) -> tuple[Parcel, ...]:
        """Return what the bundle carries, with signatures that are verified or the machine's to judge.

        Raises:
            ProtocolViolation: of the coordinator, or of whoever signed what it must not.
        """
        if sum(bundle.chunk_counts) != len(frame.parts):
            raise self._broken("as many chunks as the bundle counts", "another number")
        new = [envelope for envelope in bundle.messages if envelope not in self._read]
        # Heads come again with the total, our own messages in every bundle: a signature is checked once.
        read = opened_each(new, self._roster, relay=self._coordinator, later=self._later)
        self._read.update(zip(new, read, strict=True))
        parcels, start = [], 0
        for envelope, count in zip(bundle.messages, bundle.chunk_counts, strict=True):
            message = self._read[envelope]
            value = message.value
            if not isinstance(value, self._protocol.messages):
                raise self._broken("messages of the job's protocol", "another message")
            attested = Attested(sender=message.sender, value=value, digest=message.digest, claim=message.claim)
            parcels.append(Parcel(message=attested, chunks=frame.parts[start : start + count]))
            start += count
        return tuple(parcels)

    def _begin(self, entropy: bytes) -> Begin:
        me, held = self._me.member.name, self._held
        return Begin(
            setup=self.setup,
            me=me,
            coordinator=self._coordinator,
            entropy=entropy,
            joint=b"" if held is None else held.joint.to_bytes(),
            share=b"" if held is None else held.share.to_bytes(),
        )

    def _step(self, event: PartyEvent, kind: str, payload: bytes) -> Sequence[PartyEffect]:
        transition = self._protocol.party_step(self._state, event)
        if transition.state is self._state:  # nothing to remember, such as all vectors at a party that is not counted
            return transition.effects
        if kind and not any(isinstance(effect, Release) for effect in transition.effects):
            self._vault.append_many(self._stream, [(kind, payload)])
        self._state = transition.state
        self._frames(transition.effects)
        return transition.effects

    def _frames(self, effects: Sequence[PartyEffect], *, loose: bool = False) -> None:
        """Sign and note what is sent; of loose frames the chunks are views, which can be let go of."""
        setup, me = self.setup, self._me.member.name
        for effect in effects:
            if isinstance(effect, Send):
                envelope = signed(self._me, effect.message.domain, effect.message)
                self._read[envelope] = Opened(sender=me, value=effect.message, digest=digest_of(envelope))
                chunks = views(effect.chunks) if loose else effect.chunks
                self.sent.append(m.Frame(envelope, chunks, setup.job_hash, setup.round_index, setup.attempt))
                self._loose += self.sent[-1:] if loose else []

    def _said(self) -> bytes:
        """What names the last message that we signed."""
        return hashlib.sha256(self.sent[-1].signed.body).digest()

    def _broken(self, expected: str, got: str) -> ProtocolViolation:
        return ProtocolViolation(self._coordinator, phase=f"round {self.setup.round_index}", expected=expected, got=got)
