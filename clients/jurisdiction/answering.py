"""The contract of what a party adds to its job's sums: the answers to questions, or updates of a model.

`run` drives the sums and knows this contract, `questions` and `learning` fulfil it. Nothing leaves from here: what is
returned is sealed, masked and signed elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from federation.crypto.ring import Chunk
from federation.errors import Refused


class Answering(ABC):
    """One party's side of the course of one job."""

    @abstractmethod
    def ids(self) -> list[bytes]:
        """Return what names the sum that is due in this party's records: over which set it may be opened, for ever."""

    @abstractmethod
    def judge(self) -> None:
        """Judge the sum that is due before a row is touched for it. Raises Refused, naming the first rule."""

    @abstractmethod
    def vector(self) -> Chunk:
        """Return what this party adds to the sum that is due, as the course's spec has it; the same when asked again.

        Raises:
            Refused: a rule says no after a look at own rows; no number left.
        """

    @abstractmethod
    def other_set(self) -> Refused:
        """Return the refusal of a sum that was bound to other parties before."""

    def closed(self) -> None:  # noqa: B027 - most answers leave nothing to do
        """Note that the sum is open and that this party is counted in it; called before the course is fed."""

    def saved(self) -> tuple[bytes | memoryview, ...]:
        """Return what this party has to remember to go on, () for nothing; sealed."""
        return ()

    def restore(self, saved: Sequence[bytes]) -> None:  # noqa: B027 - as `saved`
        """Take up what `saved` returned."""

    def forget(self) -> None:  # noqa: B027 - as `saved`
        """Let go of everything that is held for this job."""
