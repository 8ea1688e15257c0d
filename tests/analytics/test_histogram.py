"""The histogram equals numpy's after the same rule per party."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.analytics.plan import Failure
from federation.query import round as rounds
from tests.analytics.parties import MISSING, Party, ask, dataset, outcomes, party, result


@st.composite
def federations(draw: st.DrawFn) -> list[Party]:
    """Three or four parties; `random` makes many rows cheap to draw and is no part of what is tested."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    own_figures = draw(st.booleans())
    parties = []
    for _ in range(draw(st.integers(3, 4))):
        size, spread = dice.choice([2, 20, 40]), dice.choice([10, 60])
        ages = [dice.choice([MISSING, dice.randint(-spread, spread)]) for _ in range(size)]
        rows = [(age, "sea", dice.choice([float("nan"), dice.uniform(-spread, spread)])) for age in ages]
        parties.append(party(dataset(k=dice.choice([1, 3] if own_figures else [2]), own_figures=own_figures), rows))
    return parties


def check(parties: list[Party], column: str, bins: int, seen: Counter[str]) -> None:
    (outcome,) = outcomes(parties, ask("histogram", column=column, bins=bins))
    high = 50 if column == "age" else 50.5
    edges = np.linspace(-50, high, bins + 1)
    own_figures = parties[0].own.own_figures
    totals, withheld = np.zeros(bins, dtype=int), np.zeros(bins, dtype=int)
    for each in parties:
        values = each.rows[column]
        values = np.clip(values[np.isfinite(values) & (values != MISSING)], -50, high)
        counts, _ = np.histogram(values, bins=edges)
        hidden = (counts < each.own.k) & (each.own.k > 1)
        withheld += hidden
        totals += np.where(hidden, 0, counts)
    closed = (withheld == len(parties)) | ((len(parties) - withheld < 3) & (not own_figures))
    if isinstance(outcome, Failure):
        assert outcome.rule == "contributors"
        assert closed.all()
        seen["refused"] += 1
        return
    found = outcome.result
    assert len(found.edges) == bins + 1
    assert found.value == tuple(None if shut else n for shut, n in zip(closed, totals, strict=True))
    assert [cell.withheld for cell in found.estimates] == withheld.tolist()
    assert (found.below.value, found.above.value) == (0, 0)
    seen.update("closed" if shut else "withheld" if f else "opened" for shut, f in zip(closed, withheld, strict=True))


def test_a_histogram_equals_numpys_under_the_same_rule() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=60)
    @given(federations(), st.sampled_from(["age", "pay"]), st.sampled_from([1, 3, 6]))
    def property_holds(parties: list[Party], column: str, bins: int) -> None:
        check(parties, column, bins, seen)

    property_holds()
    for ending in ("opened", "withheld", "closed", "refused"):
        assert seen[ending] >= 3, seen


def test_the_comparison_catches_a_bin_that_was_not_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    published = dataset(k=3, own_figures=True)
    parties = [party(published, [(1, "sea", 0.0)] * n) for n in (9, 9, 2)]
    check(parties, "age", 2, Counter())
    real = rounds.encoded
    monkeypatch.setattr(rounds, "encoded", lambda asked, joint, answers, k: real(asked, joint, answers, 1))
    with pytest.raises(AssertionError):
        check(parties, "age", 2, Counter())


def test_edges_may_be_given_and_what_lies_outside_is_told() -> None:
    published = dataset(k=2, own_figures=False)
    parties = [party(published, [(age, "sea", 0.0) for age in range(-20, 21) for _ in range(2)]) for _ in range(3)]
    found = result(parties, ask("histogram", column="age", bins=(-10, 0, 10)))
    assert found.value == (54, 66)
    assert (found.below.value, found.above.value) == (60, 60)
    assert found.edges == (-10, 0, 10)
    assert found.picture().x == (-10, 0, 10)
    assert found.table().columns == ("from", "to", "n", "low", "high", "withheld")
    again = result(parties, ask("histogram", column="age", bins=2, low=-10, high=10.0))
    assert again.value == found.value


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"bins": 0}, "1 to 4096 bins"),
        ({"bins": 5_000}, "1 to 4096 bins"),
        ({"bins": (1.0,)}, "edges"),
        ({"bins": (1.0, 1.0)}, "increasing"),
        ({"bins": (1.0, 2.0), "low": 0.0}, "not both"),
        ({"low": 3.0, "high": 3.0}, "low < high"),
        ({"low": 1.0, "high": 1.0 + 2**-50, "bins": 20}, "narrower"),
    ],
)
def test_bins_without_a_meaning_are_refused(parameters: dict[str, object], said: str) -> None:
    published = dataset(k=2, own_figures=False)
    parties = [party(published, [(1, "sea", 0.0)] * 9) for _ in range(3)]
    (outcome,) = outcomes(parties, ask("histogram", column="pay", **parameters))  # type: ignore[arg-type]
    assert isinstance(outcome, Failure)
    assert outcome.code == "misuse"
    assert said in outcome.message
