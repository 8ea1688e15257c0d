"""What parties publish is agreed or refused, and a refusal names party and column and quotes no value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.domain import catalogue
from federation.domain.catalogue import Column, Dataset, Kind, Level, Outside, agreed, levels_of
from federation.errors import Misuse, Refused

# Values that no message may quote.
SECRET_CODE, SECRET_CATEGORY, SECRET_BOUND = "-99881", "leprosy", 73193

INCOME = Column(
    name="income", kind=Kind.REAL, unit="HKD", low=0, high=SECRET_BOUND, missing=((SECRET_CODE, "refused"),)
)
DISEASE = Column(name="disease", kind=Kind.CATEGORY, categories=("none", SECRET_CATEGORY))
PERSON = Column(name="person", kind=Kind.IDENTIFIER)
HEALTH = Dataset(
    name="health", title="Health survey", unit="person", columns=(INCOME, DISEASE, PERSON), version="a" * 64
)


def with_column(dataset: Dataset, changed: Column) -> Dataset:
    """Return `dataset` with the column of that name replaced."""
    columns = tuple(changed if column.name == changed.name else column for column in dataset.columns)
    return replace(dataset, columns=columns)


def refusal(*datasets: Dataset) -> Refused:
    """Return the refusal that these publications of guangdong, hongkong, macao meet."""
    with pytest.raises(Refused) as caught:
        agreed(dict(zip(("guangdong", "hongkong", "macao"), datasets, strict=False)))
    return caught.value


def test_equal_publications_are_agreed() -> None:
    joint = agreed({"hongkong": HEALTH, "macao": HEALTH})
    assert joint == replace(HEALTH, version="")


def test_the_joint_range_is_the_hull_and_the_joint_clauses_are_the_strictest() -> None:
    other = with_column(replace(HEALTH, k=25, own_figures=True), replace(INCOME, low=-5, high=10))
    joint = agreed({"hongkong": replace(HEALTH, own_figures=True), "macao": other, "guangdong": HEALTH})
    assert (joint.column("income").low, joint.column("income").high) == (-5, SECRET_BOUND)
    assert (joint.k, joint.own_figures) == (25, False)
    assert agreed({"hongkong": other, "macao": other}).own_figures


def test_a_version_belongs_to_a_party() -> None:
    assert agreed({"hongkong": HEALTH}).version == ""


def test_what_happens_outside_the_range_may_differ() -> None:
    agreed({"hongkong": HEALTH, "macao": with_column(HEALTH, replace(INCOME, outside=Outside.REFUSE))})


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (replace(INCOME, kind=Kind.INTEGER), "kinds"),
        (replace(INCOME, unit="MOP"), "units of measurement"),
        (replace(INCOME, missing=()), "missing codes"),
        (replace(DISEASE, categories=(SECRET_CATEGORY, "none")), "category lists"),
        (replace(DISEASE, categories=("none",)), "category lists"),
    ],
)
def test_a_column_that_differs_is_refused_with_party_and_column(changed: Column, what: str) -> None:
    refused = refusal(HEALTH, HEALTH, with_column(HEALTH, changed))
    assert (refused.rule, refused.party) == ("catalogue", "macao")
    assert repr(changed.name) in refused.message
    assert what in refused.message
    assert "macao" in refused.message


def test_a_column_that_one_party_lacks_is_refused_by_name() -> None:
    fewer = replace(HEALTH, columns=(INCOME, DISEASE))
    for publications in ((HEALTH, fewer), (fewer, HEALTH)):
        refused = refusal(*publications)
        assert (refused.rule, refused.party) == ("catalogue", "hongkong")
        assert "'person'" in refused.message


@pytest.mark.parametrize(
    ("changed", "what"),
    [(replace(HEALTH, name="wealth"), "names"), (replace(HEALTH, unit="visit"), "units of counting")],
)
def test_a_data_set_that_differs_is_refused(changed: Dataset, what: str) -> None:
    refused = refusal(HEALTH, changed)
    assert what in refused.message
    assert "column" not in refused.message


def test_no_refusal_quotes_a_value() -> None:
    changes = [
        replace(INCOME, kind=Kind.INTEGER),
        replace(INCOME, unit="MOP"),
        replace(INCOME, missing=((SECRET_CODE, "other"),)),
        replace(DISEASE, categories=("none", SECRET_CATEGORY, "flu")),
    ]
    for changed in changes:
        refused = refusal(HEALTH, with_column(HEALTH, changed))
        for secret in (SECRET_CODE, SECRET_CATEGORY, str(SECRET_BOUND), "flu"):
            assert secret not in str(refused)


def test_a_comparison_that_forgot_a_field_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_compare", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        refusal(HEALTH, with_column(HEALTH, replace(INCOME, unit="MOP")))


def test_nobodys_publication_is_misuse() -> None:
    with pytest.raises(Misuse, match="no party publishes"):
        agreed({})


def test_an_unknown_column_is_misuse_with_the_nearest_name() -> None:
    with pytest.raises(Misuse) as caught:
        HEALTH.column("incom")
    assert caught.value.hint == "did you mean 'income'?"


def test_a_publication_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        HEALTH.k = 1  # type: ignore[misc]


bounds = st.integers(-1000, 1000)


@given(st.dictionaries(st.sampled_from("abcdefg"), st.tuples(bounds, bounds, st.integers(1, 50)), min_size=1))
def test_the_joint_description_holds_every_party_and_not_the_order_in_which_they_are_named(
    drawn: dict[str, tuple[int, int, int]],
) -> None:
    published = {
        party: replace(with_column(HEALTH, replace(INCOME, low=min(pair), high=max(pair))), k=k)
        for party, (*pair, k) in drawn.items()
    }
    joint = agreed(published)
    assert joint == agreed(dict(reversed(published.items())))
    income = joint.column("income")
    for dataset in published.values():
        own = dataset.column("income")
        assert income.low is not None
        assert income.high is not None
        assert own.low is not None
        assert own.high is not None
        assert income.low <= own.low <= own.high <= income.high
        assert joint.k >= dataset.k


# --- levels -----------------------------------------------------------------------------------------------------------

DISTRICTS = ("wan chai", "sha tin", "tai po", "cotai")
CITIES = {"hong kong": ("wan chai", "sha tin", "tai po"), "macao": ("cotai",)}


def test_a_level_joins_categories_or_values_of_a_level_before_it() -> None:
    city, bay = levels_of(DISTRICTS, {"city": CITIES, "bay": {"delta": ("macao", "hong kong")}})
    assert city == Level("city", ("hong kong", "hong kong", "hong kong", "macao"))
    assert city.values == ("hong kong", "macao")
    assert bay == Level("bay", ("delta",) * 4)
    (side,) = levels_of(DISTRICTS, {"side": {"west": ("cotai",), "east": DISTRICTS[:3]}})
    assert side.values == ("east", "west"), "in the order of their first category"


@pytest.mark.parametrize(
    "joined",
    [
        {"hong kong": DISTRICTS[:2], "macao": ("cotai",)},
        {**CITIES, "elsewhere": ("cotai",)},
        {**CITIES, "elsewhere": ("zhuhai",)},
        {},
    ],
    ids=["one is left out", "one is joined twice", "one is no category", "nothing"],
)
def test_a_level_that_does_not_join_everything_once_is_refused(joined: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(Misuse, match="'city'"):
        levels_of(DISTRICTS, {"city": joined})


def test_levels_are_agreed_like_category_lists() -> None:
    levelled = replace(DISEASE, levels=(Level("group", ("well", "ill")),))
    assert agreed(dict.fromkeys("ab", with_column(HEALTH, levelled))).column("disease") == levelled
    found = refusal(with_column(HEALTH, levelled), HEALTH)
    assert found.rule == "catalogue"
    assert "different levels" in found.message


def test_a_level_is_found_with_its_column() -> None:
    levelled = replace(DISEASE, levels=(Level("group", ("well", "ill")),))
    assert with_column(HEALTH, levelled).level("group") == (levelled, levelled.levels[0])
    assert HEALTH.level("group") is None
