"""A key ceremony as its operator sees it, while it goes on and after it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from clients.jurisdiction.making import Standing, joined, split
from federation.wire import convert
from federation.wire import messages as m


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One ceremony as its operator sees it.

    Attributes:
        state: "proposed", "approved", "making", "signing", "made" or "failed".
        why: why it failed.
        key: digest of the key, once it is made.
        tries: candidates in all, once it is made.
        transcript: digest over all words, once it is made.
    """

    id: bytes
    proposal: m.KeyProposal
    state: str
    joined: tuple[str, ...] = ()
    standing: Standing = field(default_factory=Standing)
    begun_ms: int = 0
    ended_ms: int = 0
    why: str = ""
    key: bytes = b""
    tries: int = 0
    transcript: bytes = b""

    def to_bytes(self) -> bytes:
        """Return it for the vault; where it stood is not kept."""
        proposal = convert.BODIES[m.KEY_PROPOSAL].encode(self.proposal)
        numbers = b"".join(number.to_bytes(8, "big") for number in (self.begun_ms, self.ended_ms, self.tries))
        texts = (text.encode() for text in (self.state, self.why, *self.joined))
        return joined([self.id, proposal, numbers, self.key, self.transcript, *texts])

    @classmethod
    def of(cls, payload: bytes) -> Self:
        """Return what was sealed."""
        ceremony, proposal, numbers, key, transcript, *texts = split(payload)
        begun_ms, ended_ms, tries = (int.from_bytes(numbers[at : at + 8], "big") for at in (0, 8, 16))
        state, why, *names = (text.decode() for text in texts)
        value = convert.BODIES[m.KEY_PROPOSAL].decode(proposal)
        if not isinstance(value, m.KeyProposal):
            raise TypeError("a proposal's body decodes to a proposal")
        return cls(
            id=ceremony,
            proposal=value,
            state=state,
            joined=tuple(names),
            begun_ms=begun_ms,
            ended_ms=ended_ms,
            why=why,
            key=key,
            tries=tries,
            transcript=transcript,
        )
