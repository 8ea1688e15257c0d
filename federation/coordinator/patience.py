"""How long the coordinator waits for a party before a secure sum that may go on without it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a secure sum that could go on waits for those who owe it something.

    Attributes:
        away_ms: for parties whose control stream is closed, from then on.
        silent_ms: for parties that are connected and do not answer: a long query is no reason to leave somebody out.
    """

    away_ms: int = 30_000
    silent_ms: int = 900_000
