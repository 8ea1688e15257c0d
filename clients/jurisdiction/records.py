"""Over which set of parties each query may be opened: written before a number leaves, kept for ever.

A query opened over two sets shows the difference of the two. So a query is bound to a secure sum before it is answered,
to one set of contributors before the party agrees to open it, and released from that only where so many parties have
signed that they did not open that sum, and never will, that nobody can.

Ids are made here, from the query and this party's own data, never taken from anybody: asking again inside another job
is the same query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
        ids = tuple(queries)
        everybody = _set(setup.parties)
        bound = _bound(setup)
        for query in ids:
            known = self._vault.get(query) or b""
            if known not in (b"", bound) and known[:32] != everybody:
                return False
        for query in ids:
            if not self._vault.get(query):
                only = setup.least == len(setup.parties)  # nobody may be missing: no other set can be opened
                self._vault.put(query, everybody + setup.hash if only else bound)
        return True

    def agree(self, queries: Iterable[bytes], setup: Setup, contributors: Sequence[str]) -> bool:
        """Bind queries to one set of contributors before the party agrees to open it; False if they have another."""
        ids, wanted = tuple(queries), _set(contributors)
        known = {query: self._vault.get(query) or b"" for query in ids}
        if any(found != _bound(setup) and found[:32] != wanted for found in known.values()):
            return False
        for query, found in known.items():
            if found[:32] != wanted:
                self._vault.put(query, wanted + setup.hash)
        return True

    def opened(self, queries: Iterable[bytes], contributors: Sequence[str]) -> None:
        """Note that queries were opened over these contributors: from now on nothing changes that."""
        for query in queries:
            self._vault.put(query, _set(contributors))

    def withdrawn(self, queries: Iterable[bytes], setup: Setup) -> None:
        """Release queries from a sum that nobody can open any more."""
        for query in queries:
            known = self._vault.get(query) or b""
            if known[32:] == setup.hash:
                self._vault.put(query, b"")


_ANSWERS = b"federation/answers"
_OPEN = bytes(32)  # in the place of a set: it is not known yet over whom


def _bound(setup: Setup) -> bytes:
    return _OPEN + setup.hash


def _set(parties: Sequence[str]) -> bytes:
    return digest("federation/parties/v1", *(party.encode() for party in parties))
