"""A federation of one process whose parties' programs may be changed, one by one: what attacks on training play on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clients.jurisdiction.learning import Learning
from clients.local.federation import LocalTransport, federation_of
from clients.local.network import Link, honest
from clients.researcher import training as asking
from clients.researcher.session import Session
from clients.researcher.training import Training
from federation.crypto.encoding import Packing
from federation.crypto.ring import CHUNK_BYTES
from federation.jobs.training import Training as Course
from tests.training.plainly import Plain

PARTIES = ("guangdong", "hongkong", "macao", "shenzhen", "zhuhai")
FEATURES = ("x0", "x1", "x2", "x3")
LAW = np.array([2.0, -1.5, 1.0, 0.5])
Forge = Callable[[Packing, bytes], bytes]  # what a changed program sends instead of the words that it would have sent
Change = Callable[[Course], None]  # what a changed program does to its own course


def frame(rows: int, seed: int) -> pd.DataFrame:
    """Rows of one logistic law around a centre of the party's own."""
    dice = np.random.Generator(np.random.PCG64(seed))
    numbers = dice.normal(size=(rows, 4)) + 0.3 * dice.normal(size=4)
    target = (dice.random(rows) < 1 / (1 + np.exp(-2 * numbers @ LAW))).astype(int)
    return pd.DataFrame({name: numbers[:, place] for place, name in enumerate(FEATURES)} | {"y": target})


def frames(rows: int = 200, parties: int = 5) -> dict[str, pd.DataFrame]:
    """So many parties of so many rows."""
    return {party: frame(rows, seed) for seed, party in enumerate(PARTIES[:parties])}


@dataclass
class Played:
    """A session and its transport."""

    transport: LocalTransport
    session: Session

    def train(self, strategy: str = "fedavg", *, options: Mapping[str, Any] | None = None, **more: Any) -> Training:
        chosen = asking.strategy(strategy)(**{"rounds": 3, "lr": 0.3, **(options or {})})
        given: dict[str, Any] = {"model": "linear", "target": "y", "seed": 3, **more}
        return self.session.train(data=self.session.table("data"), strategy=chosen, **given)

    def plain(self, asked: Training, **more: Any) -> Plain:
        """The same parties by plain addition."""
        desks = {party: driver._desk for party, driver in self.transport.network.jurisdictions.items()}
        own = {party: (desk.published["data"], desk.engines["data"]) for party, desk in desks.items()}
        return Plain(asked.handle.job, own, **more)

    def opened(self, asked: Training) -> int:
        """How many secure sums of the job were opened."""
        return len(self.transport.opened(asked.handle.job_hash, 0))


def played(rows: Mapping[str, pd.DataFrame] | None = None, link: Link = honest, **more: Any) -> Played:
    transport = federation_of(rows or frames(), link=link, **more)
    return Played(transport, Session(transport))


def forging(monkeypatch: pytest.MonkeyPatch, party: str, forge: Forge) -> None:
    """Let one party's program send other words than its updates."""
    updated = Learning._updated

    def forging(self: Learning, course: Course) -> memoryview:
        words = updated(self, course)
        if self._trainer._me != party:
            return words
        forged = memoryview(forge(course.packing(len(course.contributors)), words))
        assert self._answer is not None
        self._answer = replace(self._answer, words=forged)
        return forged

    monkeypatch.setattr(Learning, "_updated", forging)


def changing(monkeypatch: pytest.MonkeyPatch, party: str, change: Change) -> None:
    """Let one party's program follow another course than the job's."""
    made = Learning.__init__

    def other(self: Learning, course: Course, *given: Any, **named: Any) -> None:
        if named["me"] == party:
            change(course)
        made(self, course, *given, **named)

    monkeypatch.setattr(Learning, "__init__", other)


def checked(packing: Packing, words: np.ndarray[Any, np.dtype[np.uint64]], lanes: int) -> bytes:
    """Set a vector's check element right again; `lanes` is by how much its numbers grew. Vectors of one chunk only."""
    words[-packing.ring.bits // 64] += np.uint64(lanes)
    assert packing.size_bytes == words.nbytes < CHUNK_BYTES
    return words.tobytes()
