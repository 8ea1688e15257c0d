"""What a secure sum is about: who sums, with which threshold, for which round of which job, and over which numbers.

All of it is hashed into every key and every mask, so members who disagree about anything get noise and not a figure.
Refused: fewer than three parties, a threshold below floor(2n/3) + 1, more colluders than 2t - n - 1 promised, and a sum
under a joint key without all of its holders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol, runtime_checkable

from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.ring import CHUNK_BYTES, RINGS, Z128, Chunk
from federation.domain.job import digest
from federation.errors import Misuse, Refused
from federation.ledger import merkle


def chunked(data: Chunk) -> tuple[Chunk, ...]:
    """Return `data` in pieces of CHUNK_BYTES, the last one shorter if need be: how bulk bytes are hashed and sent.

    Pieces of a view are views.
    """
    return tuple(data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))


@runtime_checkable
class Hashed(Protocol):
    """Chunks that were hashed when they came: whoever holds them elsewhere need not read them again."""

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """The `chunk_hash` of every chunk, in order."""


def leaves_of(chunks: Iterable[Chunk]) -> tuple[bytes, ...]:
    """Return the leaf hashes of the tree over chunks."""
    return chunks.leaves if isinstance(chunks, Hashed) else tuple(map(chunk_hash, chunks))


def root_of(chunks: Iterable[Chunk]) -> bytes:
    """Return the root of the tree over chunks, 32 bytes: what is signed of them."""
    return merkle.root(leaves_of(chunks))


def chunk_sizes(length: int, element_bytes: int = Z128.element_bytes) -> tuple[int, ...]:
    """Return the byte counts of the chunks of a vector of `length` elements, in order."""
    whole, rest = divmod(length * element_bytes, CHUNK_BYTES)
    return (CHUNK_BYTES,) * whole + ((rest,) if rest else ())


def colluders_of(parties: int, threshold: int) -> int:
    """Return c = 2t - n - 1: so many colluders of a malicious coordinator still lack a share (0 or more)."""
    return max(0, 2 * threshold - parties - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who sums, for which round of which job; known before the numbers are, so that keys can be exchanged early.

    Attributes:
        job_hash: 32 bytes.
        round_index: number of the secure sum in its job, from 0.
        attempt: 0, and one more for each new try with new keys.
        roster_hash: the roster in force, 32 bytes.
        parties: sorted names, at least 3.
        threshold: t, shares that open a secret and signatures that agree on who is counted; at least floor(2n/3) + 1.
        colluders: c, parties that may collude with a malicious coordinator; at most 2t - n - 1.
        least: u_min, fewest contributors whose sum is opened; at least max(3, t), n where nobody may be missing.
        key: digest of the joint key whose holders the parties are, 32 bytes; b"" for sums without one. All holders
            decrypt together or nobody does: threshold and least are n then.
    """

    job_hash: bytes
    round_index: int
    attempt: int
    roster_hash: bytes
    parties: tuple[str, ...]
    threshold: int
    colluders: int
    least: int
    key: bytes = b""

    def __post_init__(self) -> None:
        n, t = len(self.parties), self.threshold
        if tuple(sorted(set(self.parties))) != self.parties:
            raise Misuse("the parties of a secure sum are sorted and named once each")
        if len(self.job_hash) != 32 or len(self.roster_hash) != 32 or self.round_index < 0 or self.attempt < 0:
            raise Misuse("a setup has 32-byte hashes and counts rounds and attempts from 0")
        if n < 3:
            raise Refused(
                f"a secure sum needs at least 3 parties, this has {n}: a sum of two shows each the other's figure",
                rule="secure_sum/parties",
                hint="ask a third jurisdiction to take part",
            )
        if not 2 * n // 3 + 1 <= t <= n or not 0 <= self.colluders <= 2 * t - n - 1 or not max(3, t) <= self.least <= n:
            raise Refused(
                f"threshold {t}, colluders {self.colluders} and least {self.least} are not safe for {n} parties",
                rule="secure_sum/threshold",
                hint="t >= floor(2n/3)+1, c <= 2t-n-1, max(3, t) <= least <= n",
            )
        if len(self.key) not in (0, 32):
            raise Misuse("a setup names its joint key by 32 bytes")
        if self.key and (t, self.least) != (n, n):
            raise Refused(
                f"threshold {t} and least {self.least} of {n} parties: a joint key needs all its holders",
                rule="secure_sum/threshold",
                hint="threshold and least are the number of parties; sum with masks where some may be missing",
            )

    @classmethod
    def standard(
        cls,
        *,
        job_hash: bytes,
        round_index: int,
        roster_hash: bytes,
        parties: Sequence[str],
        attempt: int = 0,
        colluders: int = 0,
        least: int = 3,
    ) -> Setup:
        """Return the setup with the smallest safe threshold.

        Args:
            colluders: c that was promised before; t is then no smaller than that takes, also for fewer parties.
            least: fewest contributors that are wanted; t of them at least.
        """
        n = len(parties)
        t = min(n, max(2 * n // 3 + 1, -(-(n + 1 + colluders) // 2)))
        return cls(
            job_hash=job_hash,
            round_index=round_index,
            attempt=attempt,
            roster_hash=roster_hash,
            parties=tuple(sorted(parties)),
            threshold=t,
            colluders=colluders_of(n, t),
            least=max(t, least),
        )

    @classmethod
    def keyed(
        cls,
        *,
        job_hash: bytes,
        round_index: int,
        roster_hash: bytes,
        parties: Sequence[str],
        key: bytes,
        attempt: int = 0,
    ) -> Setup:
        """Return the setup of all holders of a joint key: none may be missing, all others may collude.

        Args:
            key: digest of the joint key, 32 bytes.
        """
        n = len(parties)
        return cls(
            job_hash=job_hash,
            round_index=round_index,
            attempt=attempt,
            roster_hash=roster_hash,
            parties=tuple(sorted(parties)),
            threshold=n,
            colluders=colluders_of(n, n),
            least=n,
            key=key,
        )

    @property
    def withdrawals(self) -> int:
        """N - t + 1 + c: so many signed "not opened, and will not" leave too few parties to open this attempt.

        c of them may be lies; the other n - t + 1 leave t - 1 who still could.
        """
        return len(self.parties) - self.threshold + 1 + self.colluders

    @property
    def hash(self) -> bytes:
        """setup_hash, 32 bytes: binds what is sent before the round's numbers are known."""
        return _hash_of(self)


@lru_cache(maxsize=64)
def _hash_of(setup: Setup) -> bytes:
    """Asked for with every message of a sum, and 30 us for ten parties."""
    counts = (setup.round_index, setup.attempt, setup.threshold, setup.colluders, setup.least)
    return digest(
        "federation/setup/v2",
        setup.job_hash,
        setup.roster_hash,
        setup.key,
        *(count.to_bytes(8, "big") for count in counts),
        *(party.encode() for party in setup.parties),
    )


class Check(StrEnum):
    """How a party checks the total before it goes on."""

    ALL = "all"  # it gets every masked vector and adds them up itself
    SAMPLE = "sample"  # it gets the total and every vector's signed root, and draws chunks to add up itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What is summed: binds the numbers to a round of the plan and to everything that was opened before it.

    Attributes:
        round_digest: digest of the plan's round (query/round), or of the model and step in training; 32 bytes.
        transcript_hash: chain over all opened totals so far, 32 bytes.
        length: elements in the vector, >= 1.
        ring: "z2^128" for statistics and lanes that pack denser there, "z2^64" for other packed lanes.
        encoding: digest of how numbers became elements, b"" where elements are the numbers.
        check: how a party checks the total.
        value_bits: bits of one party's number, sign included, 1 to 128: what decides how many lie in a ciphertext.
    """

    setup: Setup
    round_digest: bytes
    transcript_hash: bytes
    length: int
    ring: str = Z128.name
    encoding: bytes = b""
    check: Check = Check.ALL
    value_bits: int = 128

    def __post_init__(self) -> None:
        if self.length < 1 or self.ring not in RINGS or len(self.encoding) not in (0, 32):
            raise Misuse(f"a spec has at least one element of a ring of {', '.join(RINGS)}, and a 32-byte encoding")
        if len(self.round_digest) != 32 or len(self.transcript_hash) != 32:
            raise Misuse("a spec has 32-byte digests")
        if not 1 <= self.value_bits <= 128:
            raise Misuse("a party's number has 1 to 128 bits")

    @property
    def size_bytes(self) -> int:
        """Bytes of a vector."""
        return self.length * RINGS[self.ring].element_bytes

    @property
    def chunks(self) -> tuple[int, ...]:
        """Byte counts of a vector's chunks."""
        return chunk_sizes(self.length, RINGS[self.ring].element_bytes)

    @property
    def hash(self) -> bytes:
        """spec_hash, 32 bytes: an input of every mask, so parties that disagree get masks that do not cancel."""
        return digest(
            "federation/spec/v3",
            self.setup.hash,
            self.round_digest,
            self.transcript_hash,
            self.ring.encode(),
            self.length.to_bytes(8, "big"),
            self.encoding,
            self.check.encode(),
            self.value_bits.to_bytes(8, "big"),
        )
