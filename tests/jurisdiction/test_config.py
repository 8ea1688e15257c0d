"""A jurisdiction's one TOML file: what it means, and that a mistake is told in one line with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.jurisdiction.config import described, load
from federation.domain.catalogue import Column, Dataset, Kind, Level, Outside
from federation.errors import Misuse
from federation.policy.rule import Settings
from federation.wire import convert
from federation.wire import messages as m

GOOD = """
[jurisdiction]
coordinator = "relay:7443"
keys = "keys"
roster = "shared/roster.json"
state = "state"
threads = 2
wire_log = "logs/wire.log"

[policy]
purposes = ["health"]
statistics = ["count", "mean"]
researchers = ["ana"]
minimum_parties = 4
most_numbers = 500
models = ["linear", "mlp"]
strategies = ["fedavg"]
most_rounds = 50
most_parameters = 10_000
least_bits = 16
most_norm = 1

[[dataset]]
name = "tb"
source = "data/tb-*.csv"
title = "Tuberculosis"
unit = "person"
k = 5
publish_own_figures = true

[dataset.columns.age]
kind = "integer"
unit = "years"
low = 0
high = 120
missing = { "-9" = "refused", "-8" = "unknown" }

[dataset.columns.dose]
kind = "real"
low = -0.5
high = 3
outside = "refuse"

[dataset.columns.sex]
kind = "category"
categories = ["f", "m"]

[dataset.columns.who]
kind = "identifier"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "jurisdiction.toml"
    path.write_text(text)
    return path


def test_a_file_says_who_where_what_and_under_which_policy(tmp_path: Path) -> None:
    found = load(written(tmp_path, GOOD))
    mine = found.jurisdiction
    assert (mine.coordinator, mine.threads, mine.log) == ("relay:7443", 2, "info")
    assert (mine.keys, mine.roster, mine.state, mine.wire_log) == (
        tmp_path / "keys",
        tmp_path / "shared" / "roster.json",
        tmp_path / "state",
        tmp_path / "logs" / "wire.log",
    )
    assert found.dataset[0].source == str(tmp_path / "data" / "tb-*.csv")
    assert found.settings() == Settings(
        purposes=("health",),
        statistics=("count", "mean"),
        researchers=("ana",),
        minimum_parties=4,
        most_numbers=500,
        models=("linear", "mlp"),
        strategies=("fedavg",),
        most_rounds=50,
        most_parameters=10_000,
        least_bits=16,
        most_norm=1,
    )
    assert described(found.dataset[0]) == Dataset(
        name="tb",
        title="Tuberculosis",
        unit="person",
        k=5,
        own_figures=True,
        dominance=85,
        columns=(
            Column(
                name="age",
                kind=Kind.INTEGER,
                unit="years",
                low=0,
                high=120,
                missing=(("-8", "unknown"), ("-9", "refused")),
            ),
            Column(name="dose", kind=Kind.REAL, low=-0.5, high=3, outside=Outside.REFUSE),
            Column(name="sex", kind=Kind.CATEGORY, categories=("f", "m")),
            Column(name="who", kind=Kind.IDENTIFIER),
        ),
    )


def test_what_is_left_out_is_careful_about_cells_and_open_about_questions(tmp_path: Path) -> None:
    start, end = GOOD.index("[policy]"), GOOD.index("[[dataset]]")
    text = GOOD[:start] + GOOD[end:].replace("k = 5\npublish_own_figures = true\n", "")
    found = load(written(tmp_path, text))
    assert found.settings() == Settings()
    assert (described(found.dataset[0]).k, described(found.dataset[0]).own_figures) == (10, False)


def test_absolute_paths_stay(tmp_path: Path) -> None:
    found = load(written(tmp_path, GOOD.replace('"keys"', '"/etc/keys"').replace('"data/tb-*.csv"', '"/data/tb.csv"')))
    assert (found.jurisdiction.keys, found.dataset[0].source) == (Path("/etc/keys"), "/data/tb.csv")


MISTAKES: dict[str, tuple[str, str, str, str]] = {
    # what is written -> what somebody wrote, what is said, the hint
    "unknown_table": ("[jurisdiction]", "[juristiction]", "unknown key 'juristiction'", "'jurisdiction'"),
    "unknown_identity_key": ('keys = "keys"', 'key = "keys"', "unknown key 'jurisdiction.key'", "'keys'"),
    "unknown_policy_key": ("purposes = ", "purpose = ", "unknown key 'policy.purpose'", "'purposes'"),
    "unknown_dataset_key": ('unit = "person"', 'units = "person"', "unknown key 'dataset.0.units'", "'unit'"),
    "unknown_column_key": ("low = 0\n", "lo = 0\n", "unknown key 'dataset.0.columns.age.lo'", "'low'"),
    "missing_key": ('state = "state"\n', "", "key 'jurisdiction.state' is missing", ""),
    "a_text_for_a_number": ("low = 0\n", 'low = "0"\n', "a finite number", ""),
    "true_for_a_number": ("low = 0\n", "low = true\n", "a finite number", ""),
    "no_finite_number": ("high = 3\n", "high = inf\n", "a finite number", ""),
    "not_a_number": ("low = -0.5\n", "low = nan\n", "a finite number", ""),
    "unknown_kind": ('kind = "real"', 'kind = "double"', "dataset.0.columns.dose.kind", ""),
    "a_name_with_a_space": ('name = "tb"', 'name = "t b"', "dataset.0.name", ""),
    "a_path_for_a_name": ('name = "tb"', 'name = "../tb"', "dataset.0.name", ""),
    "k_of_zero": ("k = 5", "k = 0", "dataset.0.k", ""),
    "unknown_training_key": ("most_rounds", "most_round", "unknown key 'policy.most_round'", "'most_rounds'"),
    "no_rounds": ("most_rounds = 50", "most_rounds = 0", "policy.most_rounds", ""),
    "no_norm": ("most_norm = 1", "most_norm = inf", "policy.most_norm", ""),
    "two_parties": ("minimum_parties = 4", "minimum_parties = 2", "policy.minimum_parties", ""),
    "one_text_for_a_list": ('purposes = ["health"]', 'purposes = "health"', "policy.purposes", ""),
    "unknown_log": ("threads = 2", 'log = "loud"', "jurisdiction.log", ""),
    "no_toml": ("[policy]", "[policy", "is not TOML", ""),
}


@pytest.mark.parametrize(("was", "wrote", "said", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_key(tmp_path: Path, was: str, wrote: str, said: str, hint: str) -> None:
    assert was in GOOD
    with pytest.raises(Misuse) as caught:
        load(written(tmp_path, GOOD.replace(was, wrote, 1)))
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_two_data_sets_of_one_name_no_file_and_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="two data sets have one name"):
        load(written(tmp_path, GOOD + GOOD[GOOD.index("[[dataset]]") :]))
    with pytest.raises(Misuse, match="cannot read"):
        load(tmp_path / "nowhere.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(Misuse, match="is not TOML"):
        load(path)


DESCRIPTIONS: dict[str, tuple[str, str, str]] = {
    "no_range": ("low = 0\nhigh = 120\n", "", "a number needs low and high"),
    "half_a_range": ("low = 0\n", "", "a number needs low and high"),
    "upside_down": ("low = 0\n", "low = 121\n", "low <= high"),
    "halves_of_whole_numbers": ("low = 0\n", "low = 0.5\n", "whole numbers"),
    "a_range_of_a_category": ('categories = ["f", "m"]', 'categories = ["f"]\nlow = 0\nhigh = 1', "only numbers"),
    "a_category_without_a_list": ('categories = ["f", "m"]', "", "closed list"),
    "a_list_of_an_identifier": ('kind = "identifier"', 'kind = "identifier"\ncategories = ["x"]', "closed list"),
    "a_category_twice": ('["f", "m"]', '["f", "m", "f"]', "twice"),
    "a_range_beyond_64_bits": ("high = 120\n", "high = 99999999999999999999\n", "cannot be published"),
    "a_k_beyond_32_bits": ("k = 5\n", "k = 9999999999\n", "cannot be published"),
    "a_title_that_moves_the_cursor": ('"Tuberculosis"', '"Tuber\\u001b[2Jculosis"', "control characters"),
    "a_column_of_many_letters": ("columns.who", f"columns.{'w' * 201}", "longer than 200"),
    "a_category_of_many_letters": ('["f", "m"]', f'["f", "{"m" * 201}"]', "longer than 200"),
}


@pytest.mark.parametrize(("was", "wrote", "said"), DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_what_cannot_be_published_is_told_before_anybody_is_dialled(
    tmp_path: Path, was: str, wrote: str, said: str
) -> None:
    assert was in GOOD
    found = load(written(tmp_path, GOOD.replace(was, wrote, 1)))
    with pytest.raises(Misuse, match="'tb'") as caught:
        described(found.dataset[0])
    assert said in caught.value.message


def test_without_reading_it_back_every_other_member_would_refuse_the_publication(tmp_path: Path) -> None:
    """What the check prevents: the daemon attends, is named a violator, and attends again."""
    found = load(written(tmp_path, GOOD.replace('"Tuberculosis"', '"Tuber\\u0007culosis"')))
    dataset = Dataset(name="tb", title=found.dataset[0].title, unit="row", columns=())
    body = convert.BODIES[m.PUBLICATION]
    sent = body.encode(m.Publication(party="macao", dataset=dataset))
    with pytest.raises(convert.Malformed, match="control characters"):
        body.decode(sent)


def test_levels_are_lists_of_categories_or_of_the_level_before(tmp_path: Path) -> None:
    listed = 'categories = ["f", "m"]'
    above = 'levels.side = { one = ["f"], other = ["m"] }\nlevels.all = { both = ["one", "other"] }'
    found = load(written(tmp_path, GOOD.replace(listed, f"{listed}\n{above}")))
    sex = described(found.dataset[0]).column("sex")
    assert sex.levels == (Level("side", ("one", "other")), Level("all", ("both", "both")))
    half = load(written(tmp_path, GOOD.replace(listed, f'{listed}\nlevels.a = {{ b = ["f"] }}')))
    with pytest.raises(Misuse, match="data set 'tb', column 'sex': level 'a' does not join all"):
        described(half.dataset[0])
