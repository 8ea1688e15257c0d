"""`fed.local` under a joint key: the same figures bit for bit as with masks, and a label on the key of its dealer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clients.local import federation as local_federation
from clients.local.federation import LocalTransport, federation_of, local
from clients.researcher.results import Results
from clients.researcher.session import Session
from federation import registry
from federation.analytics import statistics
from federation.domain.catalogue import Column, Dataset, Kind
from federation.domain.job import Computation
from federation.errors import Misuse, Refused
from federation.jobs import planner
from federation.jobs.protection import MOST_NUMBERS
from federation.query import round as rounds
from federation.wire import messages as m
from federation.wire.certificates import certified
from tests.analytics.parties import ask
from tests.analytics.test_family import ASKED

PARTIES = ("guangdong", "hongkong", "macao")
GROUPS = ("north", "south", "sea")
# The family's own questions, and those about columns that its rows do not have.
QUESTIONS = [
    *ASKED,
    ask("kaplan_meier", time="days", event="died"),
    ask("kaplan_meier", time="days", event="died", by="area", bins=8),
    ask("logrank", time="days", event="died", by="area"),
    ask("ols", formula="pay ~ age + sex"),
    ask("glm", formula="died ~ age + sex", family="binomial"),
    ask("ridge", formula="pay ~ age + sex", alpha=2.0),
]


def frames() -> dict[str, pd.DataFrame]:
    made = {}
    for seed, party in enumerate(PARTIES):
        draw = np.random.default_rng(seed)
        made[party] = pd.DataFrame(
            {
                "age": draw.integers(-50, 51, 90),
                "area": draw.choice(GROUPS, 90),
                "pay": draw.uniform(-50, 50, 90),
                "sex": draw.choice(["f", "m"], 90),
                "ill": draw.choice(["no", "yes"], 90),
                "gain": draw.uniform(0, 50, 90),
                "days": draw.integers(0, 41, 90),
                "died": draw.integers(0, 2, 90),
            }
        )
    return made


def described(k: int, own_figures: bool) -> dict[str, Dataset]:
    columns = (
        Column(name="age", kind=Kind.INTEGER, low=-50, high=50),
        Column(name="area", kind=Kind.CATEGORY, categories=GROUPS),
        Column(name="pay", kind=Kind.REAL, low=-50.0, high=50.5),
        Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
        Column(name="ill", kind=Kind.CATEGORY, categories=("no", "yes")),
        Column(name="gain", kind=Kind.REAL, low=0.0, high=50.5),
        Column(name="days", kind=Kind.INTEGER, low=0, high=40),
        Column(name="died", kind=Kind.INTEGER, low=0, high=1),
    )
    dataset = Dataset(
        name="people", title="People", unit="person", columns=columns, k=k, own_figures=own_figures, version="00" * 32
    )
    return dict.fromkeys(PARTIES, dataset)


@cache
def session(protection: str, k: int, own_figures: bool) -> Session:
    transport = federation_of(frames(), published=described(k, own_figures), key_bits=512)
    return Session(transport, protection=protection)


def asked_of(protection: str, asked: Computation, k: int, own_figures: bool) -> Results:
    of = session(protection, k, own_figures)
    return of.run([asked], data=of.table("people"))


def widest(asked: Computation, k: int, own_figures: bool) -> int:
    of = session("masks", k, own_figures)
    table = of.table("people")
    return planner.most_numbers(of.prepared([asked], data=table), table.joint)


WAYS = [(1, True), (3, False)]  # k, own figures: one round of sums, or a round of support before each


@pytest.mark.parametrize(("k", "own_figures"), WAYS)
@pytest.mark.parametrize("asked", QUESTIONS, ids=lambda asked: f"{asked.name}{dict(asked.parameters)}")
def test_figures_are_the_same_bit_for_bit_as_with_masks(asked: Computation, k: int, own_figures: bool) -> None:
    if widest(asked, k, own_figures) > MOST_NUMBERS:
        with pytest.raises(Refused, match="a joint key carries 4,096") as caught:
            asked_of("paillier", asked, k, own_figures)
        assert caught.value.rule == "protection/size"
        return
    try:
        masked = asked_of("masks", asked, k, own_figures)
    except Refused as fault:  # nothing could be opened: it is the same nothing
        with pytest.raises(Refused) as caught:
            asked_of("paillier", asked, k, own_figures)
        assert (caught.value.message, caught.value.rule) == (fault.message, fault.rule)
        return
    under_key = asked_of("paillier", asked, k, own_figures)
    assert (masked.receipt.protection, under_key.receipt.protection) == ("masked_sum", "paillier_sum")
    assert [repr(each.table()) for each in under_key] == [repr(each.table()) for each in masked]
    assert [each.to_dict()["result"] for each in under_key] == [each.to_dict()["result"] for each in masked]
    assert under_key.receipt.transcript == masked.receipt.transcript, "all opened totals, and who is in them"
    assert under_key.receipt.figures == masked.receipt.figures


def test_all_statistics_that_exist_are_asked_and_most_fit_a_joint_key() -> None:
    names = {asked.name for asked in QUESTIONS}
    known = set(registry.names(statistics.__name__))
    assert names >= known, f"add a question to QUESTIONS: nobody asks {', '.join(sorted(known - names))}"
    wide = {asked.name for asked in QUESTIONS if widest(asked, 1, True) > MOST_NUMBERS}
    fit = {asked.name for asked in QUESTIONS} - wide
    assert len(fit) > len(wide), "describe is wide: quartiles of a real column are searched in 3,072 bins at once"


def test_a_number_that_is_one_more_under_a_key_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: every party encodes one more than it has."""
    masked = asked_of("masks", ASKED[0], 1, True).receipt
    honest = rounds.encoded

    def one_more(*given: Any) -> list[int]:
        first, *rest = honest(*given)
        return [first + 1, *rest]

    monkeypatch.setattr("clients.jurisdiction.questions.encoded", one_more)
    fresh = Session(federation_of(frames(), published=described(1, True), key_bits=512), protection="paillier")
    found = fresh.run([ASKED[0]], data=fresh.table("people")).receipt
    assert found.figures != masked.figures
    assert found.transcript != masked.transcript


# --- the development key ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed() -> Session:
    return local(frames(), protection="paillier")


def test_a_development_key_is_labelled_in_plan_result_and_receipt(keyed: Session) -> None:
    table = keyed.table("data")
    label = "development key: its dealer could read everything"
    assert label in keyed.plan([table.ask.mean("age")], data=table).summary()
    result = table.mean("age")
    assert label in result.summary()
    assert result.receipt.trust == label
    assert label in result.receipt.summary()
    assert result.receipt.key == keyed.plan([table.ask.mean("age")], data=table).job.key
    assert result.receipt.colluders == 2


def test_a_development_key_has_a_length_that_production_has_and_all_its_holders_signatures(keyed: Session) -> None:
    transport = keyed._transport
    (key,) = transport.joint_keys()
    assert key.joint.public.bits == 2048
    assert key.joint.is_dealt
    assert key.joint.holders == PARTIES
    assert certified(key.signatures, transport.roster, relay="x") == key


def test_one_process_deals_one_key_to_the_same_parties() -> None:
    first, second = (local(frames(), protection="paillier")._transport.joint_keys()[0] for _ in range(2))
    assert first.joint == second.joint
    assert first.signatures != second.signatures


def test_masks_can_be_asked_for_one_job_and_are_what_local_does_without_a_word(keyed: Session) -> None:
    table = keyed.table("data", protection="masks")
    assert table.count().receipt.protection == "masked_sum"
    assert keyed.run([table.ask.count()], data=table, protection="paillier").receipt.protection == "paillier_sum"
    plain = local(frames())
    assert plain._transport.joint_keys() == ()
    assert plain.table("data").count().receipt.protection == "masked_sum"


def test_another_word_for_a_protection_is_misuse_before_anything_runs(keyed: Session) -> None:
    with pytest.raises(Misuse, match="no protection 'pailier'"):
        local(frames(), protection="pailier")
    with pytest.raises(Misuse, match="no protection 'mask'"):
        keyed.table("data", protection="mask")
    with pytest.raises(Misuse, match="no protection 'key'"):
        keyed.run([keyed.table("data").ask.count()], data=keyed.table("data"), protection="key")


def test_a_key_that_was_asked_for_is_never_swapped_for_masks(keyed: Session) -> None:
    table = keyed.table("data")
    with pytest.raises(Refused, match="may have 4,") as caught:
        keyed.run([table.ask.histogram("age", bins=2_050)], data=table)
    assert caught.value.rule == "protection/size"
    plain = local(frames())
    with pytest.raises(Refused, match="hold no joint key"):
        plain.run([plain.table("data").ask.count()], data=plain.table("data"), protection="paillier")


# --- what nobody was asked about -------------------------------------------------------------------------------------


@contextmanager
def watched(transport: LocalTransport) -> Iterator[list[m.Frame]]:
    """Every frame that a jurisdiction sends."""
    seen: list[m.Frame] = []
    plain: Callable[..., Any] = transport.network.link

    def link(way: str, party: str, frame: m.Frame) -> m.Frame | None:
        if way == "in":
            seen.append(frame)
        return plain(way, party, frame)  # type: ignore[no-any-return]

    transport.network.link = link
    yield seen
    transport.network.link = plain


def test_the_size_of_what_is_sent_tells_nothing_of_the_numbers() -> None:
    sizes = []
    for factor in (0, 1, 49):
        rows = {party: frame.assign(age=frame["age"] % 2 * factor) for party, frame in frames().items()}
        transport = federation_of(rows, published=described(1, True), key_bits=512)
        with watched(transport) as seen:
            of = Session(transport, protection="paillier")
            of.run([of.table("people").ask.sum("age")], data=of.table("people"), name="same")
        sizes.append([frame.size_bytes for frame in seen])
    assert sizes[0] == sizes[1] == sizes[2] != []


def test_a_researcher_who_does_not_look_at_the_rules_is_refused_by_every_party(
    keyed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = keyed._transport
    assert isinstance(transport, LocalTransport)
    table = keyed.table("data")
    job = keyed.prepared([table.ask.count()], data=table)
    for jurisdiction in transport.network.jurisdictions.values():
        monkeypatch.setattr(jurisdiction, "_desk", replace(jurisdiction._desk, development=False))
    job_hash = transport.submit(replace(job, token=b"0" * 16))
    blames = transport.network.coordinator.update(job_hash, local_federation.RESEARCHER).blames
    assert {blame.party: blame.rule for blame in blames} == dict.fromkeys(PARTIES, "protection/development-key")
    assert all("masks" in blame.hint for blame in blames)
