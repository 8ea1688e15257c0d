"""The contract of a job's course: its secure sums, one after another, replayed alike by every member.

The questions of a job are one kind of course, a training is another. Drivers know this contract and not which it is.
A course is fed what was opened and nothing else, so all who were fed alike are at the same place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from federation.errors import Misuse
from federation.protocols.events import Release
from federation.protocols.setup import Setup, Spec

Saved: TypeAlias = tuple[bytes | memoryview, ...]


class Course(ABC):
    """One job's secure sums, between two openings."""

    @property
    @abstractmethod
    def due(self) -> bytes | None:
        """What names the sum that is due, 32 bytes; None at the end."""

    @property
    @abstractmethod
    def contributors(self) -> tuple[str, ...]:
        """Who may take part in what is due, sorted: all parties at first, then those who were counted."""

    @property
    @abstractmethod
    def transcript(self) -> bytes:
        """32 bytes over everything that was opened, and over whom."""

    @abstractmethod
    def strict(self, index: int) -> bool:
        """Return whether everybody who was counted before has to be counted in sum `index`."""

    @abstractmethod
    def spec(self, setup: Setup) -> Spec:
        """Return what is summed in `setup`, a setup of the sum that is due. Raises Misuse at the end."""

    @abstractmethod
    def feed(self, release: Release) -> Release:
        """Take what was opened and go on; return what is kept of it, for the evidence and for the researcher.

        Raises:
            ProtocolViolation: honest vectors do not add up to that, or the wrong parties are counted; nothing was
                taken.
            JobFailed: the course cannot go on.
        """

    def saved(self) -> Saved | None:
        """Return all that the course knows, where that is shorter than what it was fed; None where it is not."""
        return None

    def restore(self, saved: Sequence[bytes]) -> None:  # noqa: ARG002 - most courses are never saved
        """Take up what `saved` returned. Raises Misuse for other bytes, and where nothing is ever saved."""
        raise Misuse("this course is taken up by feeding it what was opened")
