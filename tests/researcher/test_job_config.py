"""Job files: read strictly, written back to the same value, and every mistake named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.researcher.asking import Asked, Frame, ask
from clients.researcher.job_config import as_toml, job, job_file
from federation.domain.job import Computation
from federation.errors import Misuse

WHOLE = """
name = "ages"
purpose = "study"
data = "tb"
where = "age > 3"
protection = "paillier"
minimum_parties = 3
deadline_s = 90
parties = ["macao", "guangdong", "hongkong"]

[[statistic]]
name = "mean"
column = "age"
by = "sex"

[[statistic]]
name = "histogram"
column = "cost"
bins = 7
"""


def test_a_job_file_says_what_a_call_says() -> None:
    assert job(WHOLE) == Asked(
        data="tb",
        computations=(ask.mean("age", by="sex"), ask.histogram("cost", bins=7)),
        frame=Frame(
            name="ages",
            purpose="study",
            where="age > 3",
            protection="paillier",
            minimum_parties=3,
            deadline_s=90,
            parties=("guangdong", "hongkong", "macao"),
        ),
    )


def test_only_data_and_one_statistic_are_needed() -> None:
    assert job('data = "tb"\n[[statistic]]\nname = "count"') == Asked(data="tb", computations=(ask.count(),))


COUNT = '\n[[statistic]]\nname = "count"'


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ('dta = "tb"' + COUNT, "lacks the key 'data'", "known: "),
        ('data = "tb"\npurpse = "x"' + COUNT, "unknown key 'purpse'", "did you mean 'purpose'?"),
        ('data = "tb"\nminimum_parties = 2' + COUNT, "'minimum_parties' of ages.toml: input should be greater", ""),
        ('data = "tb"\nminimum_parties = "3"' + COUNT, "valid integer", ""),
        ('data = "tb"\ndeadline_s = inf' + COUNT, "'deadline_s'", ""),
        ('data = "tb"', "lacks the key 'statistic'", "[train]"),
        ('data = "tb"\nstatistic = []', "'statistic' of ages.toml", ""),
        ('data = "tb"\n[[statistic]]\ncolumn = "age"', "statistic 1 of ages.toml lacks its name", "mean"),
        ('data = "tb"\n[[statistic]]\nname = "maen"', "statistic 1 of ages.toml: statistics has no member", "'mean'"),
        (
            'data = "tb"' + COUNT + '\n[[statistic]]\nname = "mean"\ncolum = "age"',
            "statistic 2 of ages.toml: mean has no parameter 'colum'",
            "did you mean 'column'?",
        ),
        ('data = "tb"\n[[statistic]]\nname = "mean"\ncolumn = 1979-05-27', "is a date", "a number, a text"),
        ("data = tb", "ages.toml is not TOML", "text stands in quotes"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(text: str, said: str, hint: str) -> None:
    with pytest.raises(Misuse) as caught:
        job(text, where="ages.toml")
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_file_that_is_not_there_or_not_text_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="there is no job file"):
        job_file(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misuse, match="cannot read the job file"):
        job_file(tmp_path / "job.toml")


TRAIN = """
data = "tb"
purpose = "study"

[train]
model = "mlp"
target = "ill"
features = ["age", "cost"]
strategy = { name = "fedprox", rounds = 7, mu = 0.5 }
config = { hidden = [8, 4] }
seed = 3
holdout = 0.25
"""


def test_a_job_file_trains_what_a_call_trains() -> None:
    asked = job(TRAIN)
    (training,) = asked.computations
    given = dict(training.parameters)
    assert (training.name, given["target"], given["model"], given["seed"]) == ("train", "ill", "mlp", 3)
    assert (given["strategy"], given["options"]) == ("fedprox", (("mu", 0.5), ("rounds", 7)))
    assert given["config"] == (("hidden", (8, 4)),)
    assert (asked.frame.purpose, asked.frame.deadline_s) == ("study", 3600.0)
    assert job(as_toml(asked)) == asked


def test_a_training_needs_a_target_and_nothing_else() -> None:
    asked = job('data = "tb"\n[train]\ntarget = "ill"\nstrategy = "scaffold"')
    (training,) = asked.computations
    assert training.parameters == (("options", ()), ("strategy", "scaffold"), ("target", "ill"))
    assert job(as_toml(asked)) == asked


@pytest.mark.parametrize(
    ("table", "said", "hint"),
    [
        ("", "[train] of ages.toml lacks its target", "target = "),
        ('target = "ill"\nmodell = "mlp"', "[train] of ages.toml has an unknown key 'modell'", "did you mean 'model'?"),
        ('target = "ill"\nstrategy = "fedag"', "no member named 'fedag'", "did you mean 'fedavg'?"),
        ('target = "ill"\nstrategy = 3', "strategy of [train] of ages.toml is a name", "rounds = 20"),
        ('target = "ill"\nstrategy = { rounds = 3 }', "is a name, or a table with one", "rounds = 20"),
        (
            'target = "ill"\nstrategy = { name = "fedavg", round = 3 }',
            "strategy fedavg has no parameter 'round'",
            "did you mean 'rounds'?",
        ),
        ('target = "ill"\nstrategy = { name = "fedavg", rounds = "3" }', "must be a whole number", ""),
        ('target = "ill"\nstrategy = { name = "fedavg", rounds = 0 }', "rounds is 1 to", ""),
        ("target = 1979-05-27", "target of [train] of ages.toml is a date", "a number, a text"),
        ('target = "ill"\n[[statistic]]\nname = "count"', "not both", "two files"),
    ],
)
def test_a_mistake_in_a_training_is_named_with_what_was_meant(table: str, said: str, hint: str) -> None:
    with pytest.raises(Misuse) as caught:
        job(f'data = "tb"\n[train]\n{table}', where="ages.toml")
    assert said in caught.value.message
    assert hint in caught.value.hint


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
questions = st.one_of(
    st.builds(lambda by: ask.count(by=by), st.none() | words),
    st.builds(lambda x, by: ask.mean(x, by=by), words, st.none() | words),
    st.builds(ask.histogram, words, st.integers(1, 40)),
)
frames = st.builds(
    Frame,
    where=words,
    purpose=words,
    protection=words,
    minimum_parties=st.integers(3, 100),
    deadline_s=st.floats(0.001, 1e6),
    parties=st.lists(words, max_size=4, unique=True).map(lambda names: tuple(sorted(names))),
    name=words,
)


@given(st.builds(Asked, data=words, computations=st.lists(questions, min_size=1, max_size=3).map(tuple), frame=frames))
def test_what_is_written_is_read_back(asked: Asked) -> None:
    assert job(as_toml(asked)) == asked


def test_nothing_has_no_word_in_toml() -> None:
    empty = Computation(name="count", version=1, parameters=(("by", None),))
    with pytest.raises(Misuse, match="no word for nothing"):
        as_toml(Asked(data="tb", computations=(empty,)))


@pytest.mark.parametrize("text", [f"data = {'9' * 5000}", f"data = {'[' * 5000}{']' * 5000}"])
def test_numbers_and_nesting_without_end_are_misuse_and_no_crash(text: str) -> None:
    with pytest.raises(Misuse, match="not TOML"):
        job(text)
