"""Training through `fed.local`: the secure path gives, bit for bit, what plain addition of the same updates gives.

The reference is `tests.training.plainly`: the same local steps and the same encoding, no coordinator and no masks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import federation as fed
from clients.jurisdiction import learning
from clients.jurisdiction.learning import Learning
from clients.local.federation import LocalTransport, federation_of
from clients.researcher import training as asking
from clients.researcher.session import Session
from clients.researcher.training import Trained, Training
from federation import registry
from federation.coordinator.store import MemoryStore
from federation.domain.job import Job
from federation.errors import FederationError, JobFailed, Misuse
from federation.jobs import planner
from federation.jobs import training as course
from federation.protocols.masked_sum import masks
from federation.protocols.masked_sum.masks import Streams
from federation.training import checkpoint
from federation.training.layout import Part
from federation.training.strategy import Update
from federation.wire import messages as m
from tests.training.plainly import Plain, unrounded

pytest.importorskip("torch")

PARTIES = ("guangdong", "hongkong", "macao")
STRATEGIES = registry.names("federation.training.strategies")
MLP = {"hidden": (6,), "norm": "batch"}


def frame(rows: int, seed: int, *, holes: bool = True) -> pd.DataFrame:
    """Numbers, a category, and targets of every task; every 17th number and every 19th category is missing."""
    dice = np.random.Generator(np.random.PCG64(seed))
    x = dice.normal(seed, 1 + seed, size=(rows, 3))
    area = dice.choice(["a", "b", "c"], rows)
    score = x @ [1, -2, 0.5] / (1 + seed) + (area == "a") + dice.normal(0, 0.5, rows)
    found = pd.DataFrame({"x": x[:, 0], "z": x[:, 1], "v": x[:, 2], "area": area})
    if holes:
        found.loc[::17, "z"] = np.nan
        found.loc[::19, "area"] = None
    found["ill"] = (score > 0).astype(int)
    found["stage"] = np.digitize(score, [-1, 1]).astype(int)
    found["pay"] = 1000 + 50 * score
    return found


FRAMES = {party: frame(rows, seed) for seed, (party, rows) in enumerate(zip(PARTIES, (211, 307, 149), strict=True))}
FEATURES = ("x", "z", "v", "area")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with fed.local(FRAMES) as found:
        yield found


@dataclass(frozen=True)
class Both:
    """One training on both paths."""

    asked: Training
    secure: Trained
    plain: Plain

    @property
    def job(self) -> Job:
        return self.asked.handle.job


def transport_of(session: Session) -> LocalTransport:
    transport = session._transport
    assert isinstance(transport, LocalTransport)
    return transport


def plain_of(session: Session, job: Job, **more: Any) -> Plain:
    """The same parties, without federation."""
    desks = {party: driver._desk for party, driver in transport_of(session).network.jurisdictions.items()}
    return Plain(job, {p: (desks[p].published["data"], desks[p].engines["data"]) for p in job.parties}, **more)


def trained(session: Session, strategy: str = "fedavg", *, target: str = "ill", **more: Any) -> Training:
    chosen = asking.strategy(strategy)(**{"rounds": 2, "batch_size": 16, **more.pop("options", {})})
    given: dict[str, Any] = {"model": "linear", "seed": 5, "features": FEATURES, **more}
    return session.train(data=session.table("data"), target=target, strategy=chosen, **given)


def both(session: Session, strategy: str = "fedavg", **more: Any) -> Both:
    asked = trained(session, strategy, **more)
    plain = plain_of(session, asked.handle.job)
    secure = asked.result()
    plain.run()
    return Both(asked, secure, plain)


def assert_same_bits(of: Both) -> None:
    """All that was opened, the order of it, every model and every figure."""
    found = of.plain.course
    assert of.secure.receipt.transcript == found.transcript
    assert of.secure.history == tuple(found.history)
    assert of.secure.file == found.file(best=True)
    assert found.public is not None
    assert of.secure.course.hashes[found.round_index] == checkpoint.digest(found.public.model)


# --- the same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_ends_with_the_bits_of_plain_addition(session: Session, strategy: str) -> None:
    """All eleven, end to end, over categories, missing values and a normalisation."""
    of = both(session, strategy, model="mlp", config=MLP)
    assert_same_bits(of)
    assert np.isfinite(of.secure.model).all()
    assert len(of.secure.history) == 2


def test_all_eleven_are_played() -> None:
    assert len(STRATEGIES) == 11


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("pay", {}),
        ("stage", {}),
        ("stage", {"task": "regression"}),
        ("ill", {"model": "tabular"}),
        ("ill", {"scale": "range"}),
        ("ill", {"options": {"weighted": False}}),
        ("ill", {"options": {"clip": 0.01}}),
        ("ill", {"options": {"bits": 31}}),
        ("ill", {"holdout": 0.0}),
        ("ill", {"options": {"rounds": 4}, "evaluate_every": 2, "best": "auc"}),
    ],
)
def test_every_task_and_every_way_to_scale_and_weigh(session: Session, target: str, more: dict[str, Any]) -> None:
    assert_same_bits(both(session, target=target, **more))


def test_integers_were_added_and_nothing_else(session: Session) -> None:
    """The words of the plain path are held against Python's own rounding and addition, entry by entry."""
    of = both(session)
    plain = plain_of(session, of.job)
    packing = None
    while plain.course.due is not None:
        step = plain.course.step
        packing = plain.course.packing(3)
        total = plain.total(plain.course.contributors)
        if step is course.Step.UPDATE:
            assert packing.sums(total.chunks, 3).tolist() == plain.sums[-1]
        plain.course.feed(total)
    assert len(plain.sums) == 2
    assert plain.course.transcript == of.secure.receipt.transcript


@pytest.mark.parametrize("fault", ["another number", "another weight", "another party"])
def test_one_unit_more_or_less_would_be_seen(session: Session, fault: str) -> None:
    """The planted faults: one entry by one step of 22 bits, one weight by one, one party's seed."""
    asked = trained(session)

    def sends(party: str, index: int, update: Update) -> Any:
        vector = update.vector.copy()
        if fault == "another number" and (party, index) == ("macao", 1):
            vector[0] += 8 * 2**-22 * (3 * 211 / 149)
        return vector

    plain = plain_of(session, asked.handle.job, sends=sends)
    made = plain.update

    def other(party: str, public: Any, index: int) -> Update:
        update = made(party, public, index)
        if party == "macao" and fault == "another weight":
            return Update(vector=update.vector, kept=update.kept, weight=update.weight - 1)
        return made("hongkong", public, index) if party == "macao" and fault == "another party" else update

    plain.update = other  # type: ignore[method-assign]
    assert plain.run().transcript != asked.result().receipt.transcript


def test_two_trainings_of_one_seed_are_one_and_of_another_seed_are_not(session: Session) -> None:
    one, again, other = (trained(session, seed=seed).result() for seed in (5, 5, 6))
    assert one.file.split(b"__metadata__")[0] == again.file.split(b"__metadata__")[0]
    assert np.array_equal(one.model, again.model)
    assert one.receipt.transcript == again.receipt.transcript
    assert not np.array_equal(one.model, other.model)


def test_only_rows_of_the_condition_and_with_all_values_are_used(session: Session) -> None:
    asked = session.train(
        data=session.table("data").where("x > 0"),
        target="ill",
        features=FEATURES,
        strategy=fed.FedAvg(rounds=1),
        seed=5,
    )
    plain, secure = plain_of(session, asked.handle.job), asked.result()
    plain.run()
    assert secure.receipt.transcript == plain.course.transcript
    rows = pd.concat(FRAMES.values())
    whole = rows[(rows["x"] > 0) & rows["z"].notna() & rows["area"].notna()]
    assert secure.history[0].figures is not None
    assert secure.history[0].weight + secure.history[0].figures.n == len(whole) < len(rows)
    assert secure.history[0].weight == sum(plain.weights.values())


def test_numbers_are_standardised_by_joint_figures(session: Session) -> None:
    scaling = trained(session).result().course.scaling
    rows = pd.concat(FRAMES.values())
    whole = rows[rows["z"].notna()]  # what is missing in a category does not move a mean of numbers
    known = [whole[whole["area"].notna()], whole]
    for place, name in enumerate(("x", "z", "v")):
        assert any(scaling.centre[place] == pytest.approx(of[name].mean(), rel=1e-9) for of in known)
        assert any(scaling.scale[place] == pytest.approx(of[name].std(), rel=1e-9) for of in known)


# --- fewer than k -----------------------------------------------------------------------------------------------------


def test_under_k_a_round_of_support_comes_first() -> None:
    with fed.local(FRAMES, k=10, own_figures=False) as closed:
        of = both(closed, "scaffold", model="mlp", config={"hidden": (6,)})
        assert_same_bits(of)
        released = transport_of(closed).released(of.asked.handle.job_hash)
        assert len(released.totals) == planner.rounds(of.job, of.plain.joint) == 2 + 2 * 2


def test_figures_that_stay_closed_end_a_training_before_it_begins() -> None:
    few = {**FRAMES, "macao": frame(8, 2, holes=False)}
    with fed.local(few, k=10, own_figures=False) as closed, pytest.raises(FederationError) as caught:
        trained(closed).result()
    assert "train" in str(caught.value)
    assert "macao" not in str(caught.value), "who has few rows is not told"


# --- how many bits ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large() -> Iterator[Session]:
    frames = {p: frame(1_200, seed, holes=False) for seed, p in enumerate(PARTIES)}
    with fed.local(frames) as found:
        yield found


def test_22_bits_cost_no_accuracy(large: Session) -> None:
    options = {"rounds": 5, "batch_size": 64}
    asked = trained(large, model="mlp", config={"hidden": (8,)}, options=options, holdout=0.5)
    public, figures = unrounded(plain_of(large, asked.handle.job))
    found = asked.result(best=False)
    assert found.figures.n > 1_500
    cost = (figures[-1].accuracy or 0.0) - found.figures.accuracy
    away = float(np.abs(found.model - public.model).max())
    print(f"22 bits: accuracy {found.figures.accuracy:.4f}, {100 * cost:+.2f} points; entries within {away:.1e}")
    assert figures[-1].accuracy is not None
    assert figures[-1].accuracy > 0.8
    assert abs(cost) <= 0.001
    assert away < 2e-5


def test_at_8_bits_what_rounding_took_away_is_given_back(large: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without error feedback the errors of all rounds add up; the planted fault is a party that forgets them."""
    options = {"rounds": 8, "batch_size": 64}
    given: dict[str, Any] = {"model": "mlp", "config": {"hidden": (8,)}, "holdout": 0.1}
    exact = trained(large, options=options, **given)
    public, _ = unrounded(plain_of(large, exact.handle.job))

    def away() -> float:
        coarse = trained(large, options={**options, "bits": 8}, **given).result(best=False)
        return float(np.linalg.norm(coarse.model - public.model))

    fed_back = away()
    monkeypatch.setattr(learning, "COARSE_BITS", 0)
    forgotten = away()
    print(f"8 bits after 8 rounds: away from the unrounded model {fed_back:.4f}, without feedback {forgotten:.4f}")
    assert fed_back < forgotten / 3


# --- what stays at home -----------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """Everything that went over a line, in both directions."""

    frames: list[m.Frame]

    def link(self, _way: str, _party: str, sent: m.Frame) -> m.Frame:
        self.frames.append(sent)
        return sent

    @property
    def data(self) -> list[bytes]:
        return [part for one in self.frames for part in (one.signed.body, *one.parts)]


@pytest.mark.parametrize("strategy", ["ditto", "fedbn", "scaffold"])
def test_what_a_party_keeps_never_leaves_it(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, tuple[Any, ...]] = {}
    closed = Learning.closed

    def noted(self: Learning) -> None:
        closed(self)
        kept[self._trainer._me] = self._kept

    monkeypatch.setattr(Learning, "closed", noted)
    heard, store = Heard([]), MemoryStore()
    transport = federation_of(FRAMES, link=heard.link, store=store)
    with Session(transport) as here:
        of = both(here, strategy, model="mlp", config=MLP)
        assert_same_bits(of)
    assert set(kept) == set(PARTIES)
    own = {party: [array.tobytes() for array in arrays] for party, arrays in kept.items()}
    assert all(own.values())
    assert len({arrays[0] for arrays in own.values()}) == 3, "each has its own"
    stored = [payload for job in store.jobs() for _, payload in store.events(job)]
    for arrays in own.values():
        for array in arrays:
            for start in range(0, len(array) - 16, 16):
                piece = array[start : start + 16]
                assert piece == bytes(16) or not any(piece in data for data in (*heard.data, *stored))
    chosen = of.plain.course.chosen
    assert chosen.strategy.personal is (strategy != "scaffold")
    if strategy == "fedbn":
        joint = chosen.layout.where(Part.WEIGHT, Part.BIAS)
        assert chosen.strategy.length(chosen.parameters, chosen.layout) == int(joint.sum()) < chosen.layout.size
        started = chosen.layout.initial(of.plain.course._seed)
        assert np.array_equal(of.secure.model[~joint], started[~joint]), "nobody's normalisation is in the joint model"


def counts_in(heard: Heard, rows: dict[str, int]) -> set[str]:
    """Whose number of rows stands somewhere, as a word of either order."""
    found = set()
    for party, number in rows.items():
        words = (number.to_bytes(8, "little"), number.to_bytes(8, "big"))
        found |= {party for data in heard.data if any(word in data for word in words)}
    return found


def unmasked(vector: bytes, ring: str, streams: Streams) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    return masks.summed([[memoryview(vector)]], ring, Streams() if ring == "z2^64" else streams)


@pytest.mark.parametrize("fault", [False, True], ids=["honest", "unmasked"])
def test_how_many_rows_a_party_has_is_told_to_nobody(fault: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are hidden in the sum like the updates; the planted fault, updates without masks, shows every weight."""
    if fault:
        monkeypatch.setattr(masks, "masked", unmasked)
    heard, store = Heard([]), MemoryStore()
    transport = federation_of(FRAMES, link=heard.link, store=store)
    with Session(transport) as here:
        asked = trained(here, options={"bits": 24})  # two numbers to a word, so that rings tell updates from figures
        plain = plain_of(here, asked.handle.job)
        plain.run()
        with pytest.raises(FederationError) if fault else contextlib.nullcontext():
            asked.result()
        log = [line.text for line in transport.log(asked.handle.job_hash, follow=False)]
        opened = transport.opened(asked.handle.job_hash, 0)
        told = [blame.message + blame.hint for blame in next(iter(transport.watch(asked.handle.job_hash))).blames]
    trains = dict(plain.weights)
    counted = {party: len(rows[rows["z"].notna()]) for party, rows in FRAMES.items()}
    complete = {party: len(rows.dropna()) for party, rows in FRAMES.items()}
    assert len(set(trains.values())) == 3
    if fault:
        assert counts_in(heard, trains) == set(PARTIES)
        return
    stored = [payload for job in store.jobs() for _, payload in store.events(job)]
    for numbers in (trains, counted, complete):
        assert not counts_in(heard, numbers)
        for number in numbers.values():
            assert not any(str(number) in text.split() for text in told)
            assert not any(f"{number} rows" in text for text in log)
            assert not any(number in release.numbers for release in opened)
            assert not any(number.to_bytes(8, "little") in payload for payload in stored)
    assert any(sum(counted.values()) in release.numbers for release in opened), "the sum is told to everybody"


# --- what a researcher gets -------------------------------------------------------------------------------------------


def test_who_watches_sees_every_round_once(session: Session) -> None:
    asked = trained(session, options={"rounds": 4}, evaluate_every=2)
    seen = [one.progress for one in asked.watch()]
    assert [one.round_index for one in seen] == [0, 1, 2, 3]
    assert [one.figures is not None for one in seen] == [False, True, False, True]
    result = asked.result()
    assert tuple(seen) == result.history
    assert result.receipt.signed_by == PARTIES
    assert len(result.receipt.signed_by) == 3
    assert checkpoint.about(result.file)["round"] == str(result.round_index + 1)


def test_predictions_are_those_of_the_model_that_was_evaluated(session: Session) -> None:
    found = trained(session, model="mlp", config={"hidden": (6,)}, options={"rounds": 6}).result()
    fresh = frame(400, 1, holes=False)
    right = (found.predict(fresh) > 0.5) == (fresh["ill"] == 1)
    assert right.mean() > 0.75
    assert found.figures.accuracy > 0.75


def test_a_training_that_runs_away_ends_with_the_name_of_who_noticed(session: Session) -> None:
    with pytest.raises(JobFailed, match=r"not finite|ran away") as caught:
        trained(session, target="pay", options={"lr": 1e6, "rounds": 3, "clip": 1e6}, scale="none").result()
    assert "lr" in (caught.value.hint or "")


def test_a_joint_key_is_refused_before_anybody_is_asked(session: Session) -> None:
    made = trained(session, options={"rounds": 1}).handle.job
    known = len(session.jobs())
    with pytest.raises(Misuse, match="joint key"):
        transport_of(session).submit(replace(made, token=b"k" * 16, protection="paillier_sum", key=b"k" * 32))
    assert len(session.jobs()) == known
