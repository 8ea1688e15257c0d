"""Over which set of parties each query may be opened: written before a number leaves, kept for ever.

A query opened over two sets shows the difference of the two. So a query is bound before it is answered to the parties
of that sum, before the party agrees to open it to one set of contributors, and for ever when it is open. Among the same
parties it may be tried again: any two thresholds of them share an honest party, whose record holds both to one set.
Between other parties it may not, unless so many have signed that they did not open that sum, and never will, that
nobody can. Several sums may rest on one binding, of several jobs that ask the same: it lasts as long as one of them.

Ids are made here, from the query and this party's own data, never taken from anybody: asking again inside another job
is the same query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from clients.jurisdiction.vault import Vault
from federation.domain.job import digest
from federation.protocols.setup import Setup
from federation.query.query import digest as query_digest
from federation.query.round import Round


def query_ids(due: Round, version: str) -> tuple[bytes, ...]:
    """Return the ids of a round's queries over one version of this party's data, 32 bytes each."""
    return tuple(
        digest("federation/query-id/v1", query_digest(query), version.encode(), due.phase.value.encode())
        for query in due.queries
    )


class Records:
    """What a party remembers of its queries.

    Args:
        vault: keeps it.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def answers(self) -> int:
        """How many answers this memory knows of."""
        return int.from_bytes(self._vault.get(_ANSWERS) or b"", "big")

    def next_answer(self) -> int:
        """Return the number of the next answer, and count it."""
        number = self.answers + 1
        self._vault.put(_ANSWERS, number.to_bytes(8, "big"))
        return number

    def reconcile(self, answers: int) -> None:
        """Count at least `answers` from now on, of which this memory has forgotten some.

        What it forgot, the other parties remember: a forgotten query opens over another set only where t parties agree.
        """
        if answers > self.answers:
            self._vault.put(_ANSWERS, answers.to_bytes(8, "big"))

    def bind(self, queries: Iterable[bytes], setup: Setup) -> bool:
        """Bind queries to the sum of `setup` before they are answered in it; False, and nothing, if one must not be."""
        found, among = self._known(tuple(queries)), _set(setup.parties)
        if any(among not in (known.among, known.over) for known in found.values() if known is not None):
            return False
        for query, known in found.items():
            self._put(query, _Record(among, _NOBODY, (setup.hash,)) if known is None else known.resting(setup.hash))
        return True

    def agree(self, queries: Iterable[bytes], setup: Setup, contributors: Sequence[str]) -> bool:
        """Bind queries to one set of contributors before the party agrees to open it; False if they have another."""
        found, among, over = self._known(tuple(queries)), _set(setup.parties), _set(contributors)
        for known in found.values():
            if known is None or (known.among != among if known.over == _NOBODY else known.over != over):
                return False
        for query, known in found.items():
            if known is not None:
                self._put(query, replace(known, over=over).resting(setup.hash))
        return True

    def opened(self, queries: Iterable[bytes], setup: Setup, contributors: Sequence[str]) -> None:
        """Note that queries were opened over these contributors: from now on nothing changes that."""
        for query in queries:
            self._put(query, _Record(_set(setup.parties), _set(contributors), _OPEN))

    def withdrawn(self, queries: Iterable[bytes], setup: Setup) -> None:
        """Release queries from a sum that nobody can open any more."""
        for query, known in self._known(tuple(queries)).items():
            if known is not None and setup.hash in known.sums:
                left = tuple(one for one in known.sums if one != setup.hash)
                self._put(query, replace(known, sums=left) if left else None)

    def _known(self, queries: Sequence[bytes]) -> dict[bytes, _Record | None]:
        found = {query: self._vault.get(query) or b"" for query in queries}
        return {query: _Record.of(value) if value else None for query, value in found.items()}

    def _put(self, query: bytes, record: _Record | None) -> None:
        value = b"" if record is None else b"".join((record.among, record.over, *record.sums))
        if value != (self._vault.get(query) or b""):
            self._vault.put(query, value)


_ANSWERS = b"federation/answers"
_NOBODY = bytes(32)  # in the place of a set: nobody has agreed to one yet, as far as we know
_OPEN = (bytes(32),)  # in the place of sums: one is open, and no withdrawal undoes that


@dataclass(frozen=True, slots=True)
class _Record:
    """What one query is bound to.

    Attributes:
        among: the parties of the sum.
        over: the set that is counted in it.
        sums: the setups of all sums that rest on that.
    """

    among: bytes
    over: bytes
    sums: tuple[bytes, ...]

    @classmethod
    def of(cls, value: bytes) -> _Record:
        if len(value) == 32:  # of version 0.1.0: all parties were counted
            return cls(value, value, _OPEN)
        return cls(value[:32], value[32:64], tuple(value[at : at + 32] for at in range(64, len(value), 32)))

    def resting(self, setup_hash: bytes) -> _Record:
        """Return the record with one more sum that rests on it; what is open needs none."""
        return self if self.sums == _OPEN or setup_hash in self.sums else replace(self, sums=(*self.sums, setup_hash))


def _set(parties: Sequence[str]) -> bytes:
    return digest("federation/parties/v1", *(party.encode() for party in parties))
