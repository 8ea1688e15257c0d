"""`fed.local` between five parties of whom one is lost: who is counted, who is missing, and that all say so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clients.local.federation import federation_of
from clients.local.network import Link
from clients.researcher.session import Session
from federation.coordinator.store import MemoryStore
from federation.errors import Unavailable
from federation.protocols.masked_sum import MaskedSum
from federation.protocols.masked_sum.messages import Consent, Head, Unmask
from federation.wire import convert
from federation.wire import messages as m

PARTIES = ("foshan", "guangdong", "hongkong", "macao", "shenzhen")
LOST = "macao"


def frames() -> dict[str, pd.DataFrame]:
    made = {}
    for seed, party in enumerate(PARTIES):
        draw = np.random.default_rng(seed)
        made[party] = pd.DataFrame({"x": draw.integers(0, 1000, 40 + seed), "s": draw.choice(["a", "b"], 40 + seed)})
    return made


def pooled(*parties: str) -> pd.DataFrame:
    return pd.concat([frames()[party] for party in parties])


SURVIVORS = tuple(party for party in PARTIES if party != LOST)


def falls_silent(domain: str) -> Link:
    """A link that loses everything that one party sends from its first message of a kind on."""
    silent = False

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        nonlocal silent
        if (way, party) == ("in", LOST):
            silent = silent or frame.signed.domain == domain
            return None if silent else frame
        return frame

    return link


def falls_deaf(domain: str) -> Link:
    """A link that also loses everything that is sent to it from then on."""
    silent = falls_silent(domain)
    lost = False

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        nonlocal lost
        if party != LOST:
            return frame
        lost = lost or (way == "in" and silent(way, party, frame) is None)
        return None if lost else frame

    return link


@pytest.mark.parametrize("losing", [falls_silent, falls_deaf], ids=lambda it: it.__name__)
@pytest.mark.parametrize("domain", [kind.domain for kind in MaskedSum.messages[:3]])
def test_the_others_are_counted_and_everything_says_so(domain: str, losing: Callable[[str], Link]) -> None:
    session = Session(federation_of(frames(), link=losing(domain)))
    table = session.table("data", minimum_parties=4)
    result = table.quantile("x", [0.25, 0.5])
    rows = pooled(*SURVIVORS)
    assert list(result.values) == [float(np.sort(rows["x"])[int(np.ceil(q * len(rows))) - 1]) for q in (0.25, 0.5)]
    receipt = result.receipt
    assert (receipt.parties, receipt.missing, receipt.least) == (SURVIVORS, (LOST,), 4)
    assert receipt.signed_by == SURVIVORS
    assert receipt.rounds >= 1
    assert LOST in result.summary()
    assert LOST in session.jobs()[0].job.parties, "it was asked"


@pytest.mark.parametrize("domain", [Consent.domain, Unmask.domain, m.ATTESTATION])
def test_whoever_is_lost_after_its_numbers_are_there_is_counted(domain: str) -> None:
    session = Session(federation_of(frames(), link=falls_silent(domain)))
    result = session.table("data", minimum_parties=4).count()
    assert result.value == len(pooled(*PARTIES))
    assert (result.receipt.parties, result.receipt.missing) == (PARTIES, ())
    assert result.receipt.signed_by == SURVIVORS
    assert LOST in result.summary(), "whose signature lacks"


def test_where_nobody_may_be_missing_the_job_ends_with_its_name() -> None:
    session = Session(federation_of(frames(), link=falls_silent(Head.domain)))
    with pytest.raises(Unavailable) as caught:
        session.table("data").count()
    assert caught.value.party == LOST


def test_two_of_five_are_too_many() -> None:
    one = falls_silent(Head.domain)

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        other = (way, party, frame.signed.domain) == ("in", "foshan", Head.domain)
        return None if other else one(way, party, frame)

    session = Session(federation_of(frames(), link=link))
    with pytest.raises(Unavailable, match=r"foshan.*macao"):
        session.table("data", minimum_parties=3).count()


def test_one_frame_that_is_lost_anywhere_costs_at_most_its_party() -> None:
    """Whichever frame of the party is lost: the answer is that of all five or of the other four, and says which."""
    everybody, others = len(pooled(*PARTIES)), len(pooled(*SURVIVORS))
    store = MemoryStore()
    Session(federation_of(frames(), store=store)).table("data", minimum_parties=4).count()
    (job_hash,) = store.jobs()
    mine = [convert.frame_of(payload) for kind, payload in store.events(job_hash) if kind == "frame"]
    answers = []
    for at in range(1, sum(frame.signed.key_id == mine[0].signed.key_id for frame in mine)):
        seen = 0

        def link(way: str, party: str, frame: m.Frame, at: int = at) -> m.Frame | None:
            nonlocal seen
            seen += (way, party) == ("in", LOST)
            return None if (way, party) == ("in", LOST) and seen == at + 1 else frame

        result = Session(federation_of(frames(), link=link)).table("data", minimum_parties=4).count()
        counted = result.receipt.parties
        assert result.value == (everybody if LOST in counted else others)
        answers.append(LOST in counted)
    assert True in answers
    assert False in answers
