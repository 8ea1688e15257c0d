"""Results pass their statistic's attributes through, render in one place, and never execute what they show."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest

from clients.researcher import rendering
from clients.researcher.receipt import Receipt, plain
from clients.researcher.results import Result, Results, error_of, signature, suppressed
from clients.researcher.session import Session
from federation.analytics import statistic
from federation.analytics.plan import Done, Failure
from federation.domain.job import Computation
from federation.errors import JobFailed, Misuse, Refused
from tests.researcher.fake import PARTIES, Fake, pooled, publication

EVIL = "<script>alert('x')</script>\x1b[31m&\N{RIGHT-TO-LEFT OVERRIDE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile(statistic.Result):
    """What a result would be if labels, which parties publish, were an attack."""

    label: str
    value: float | None = 1.5

    def table(self) -> statistic.Table:
        return statistic.Table(columns=("x", EVIL), rows=((self.label, self.value), (None, None)))

    def picture(self) -> None:
        return None


RECEIPT = Receipt(
    job_hash=b"\1" * 32,
    job="mean-7f3c",
    dataset="tb",
    where="sex == 'f'",
    purpose="study",
    parties=PARTIES,
    least=3,
    protection="masked_sum",
    colluders=2,
    publications=tuple((party, b"\2" * 32) for party in PARTIES),
    roster_hash=b"\3" * 32,
    transcript=b"\4" * 32,
    signed_by=PARTIES,
    rounds=1,
)
ASKED = Computation(name="mean", version=1, parameters=(("column", "age"),))


@pytest.fixture
def mean() -> Result:
    return Session(Fake()).table("tb").mean("age", by="sex")


def test_attributes_and_cells_of_the_statistic_pass_through(mean: Result) -> None:
    assert mean.n == len(pooled("age"))
    assert mean["f"].n == int((pooled("sex", lambda rows: rows["age"] != 999) == "f").sum())
    assert {"estimates", "n_missing", "summary", "receipt"} <= set(dir(mean))
    with pytest.raises(AttributeError):
        _ = mean.nothing
    with pytest.raises(Misuse, match="one value per 'sex'"):
        _ = mean.value


def test_a_scalar_is_a_number() -> None:
    assert float(Session(Fake()).table("tb").count()) == 130.0
    with pytest.raises(Misuse, match="no value"):
        float(Result(Hostile(label="x", value=None), ASKED, RECEIPT))
    with pytest.raises(Misuse, match="no cells"):
        _ = Result(Hostile(label="x"), ASKED, RECEIPT)["f"]


def test_a_summary_says_what_was_asked_left_out_and_signed(mean: Result) -> None:
    said = mean.summary()
    assert said.startswith("mean('age', by='sex') of tb\n")
    assert "left out or changed: 9 missing age (refused)" in said
    assert f"3 parties ({', '.join(PARTIES)}), masked_sum, transcript {mean.receipt.transcript.hex()[:12]}" in said
    assert repr(mean) == said


def test_withheld_and_closed_cells_are_shown_with_the_interval_that_they_leave() -> None:
    published = {party: publication(k=20, own_figures=False) for party in PARTIES}
    published["macao"] = publication(k=2, own_figures=False)
    result = Session(Fake(published=published)).table("tb").histogram("age", bins=2)
    lines = suppressed(result._result)
    assert lines
    assert all("closed; " in line or "withheld by " in line for line in lines)
    assert all(line in result.summary() for line in lines)


def test_html_escapes_everything(mean: Result) -> None:
    shown = Result(Hostile(label=EVIL), ASKED, replace(RECEIPT, where=EVIL, job=EVIL))._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "\x1b" not in shown
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in shown
    assert "<script" not in replace(RECEIPT, job=EVIL)._repr_html_()
    assert mean._repr_html_().count("<tr>") == 3


def test_without_escaping_the_script_would_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: an escape that does nothing. The test above would then fail."""
    monkeypatch.setattr(rendering.html, "escape", lambda text, quote: text)
    assert "<script" in Result(Hostile(label=EVIL), ASKED, RECEIPT)._repr_html_()


def test_text_for_terminals_holds_no_control_characters() -> None:
    result = Result(Hostile(label=EVIL), ASKED, RECEIPT)
    from rich.console import Console

    console = Console(force_terminal=True, width=200, no_color=True)
    with console.capture() as capture:
        console.print(result.for_terminal())
    for shown in (result.summary(), capture.get()):
        assert "\x1b[31m" not in shown
        assert "alert('x')" in shown


def test_a_result_is_plain_values_for_programs(mean: Result) -> None:
    found = json.loads(json.dumps(mean.to_dict()))
    assert found["statistic"] == "mean"
    assert found["parameters"] == {"by": "sex", "column": "age"}
    assert found["receipt"]["transcript"] == mean.receipt.transcript.hex()
    assert found["table"]["columns"] == list(mean.table().columns)
    assert found["result"]["estimates"][0]["label"] == "f"


def test_a_result_is_a_data_frame(mean: Result) -> None:
    frame = mean.to_pandas()
    assert list(frame.columns) == list(mean.table().columns)
    assert frame["mean"].tolist() == [mean["f"].value, mean["m"].value]


def test_a_receipt_says_who_signed_what() -> None:
    said = str(RECEIPT)
    assert "04" * 32 in said
    assert "signed by     guangdong, hongkong, macao" in said
    assert f"macao {'02' * 32}" in said


def test_a_receipt_says_who_is_counted_and_what_the_job_could_bear() -> None:
    assert "missing       nobody" in str(RECEIPT)
    assert "least         3: all 3 parties must answer" in str(RECEIPT)
    lost = replace(RECEIPT, missing=("zhuhai",))
    assert "missing       zhuhai" in str(lost)
    assert "least         3: goes on without up to 1 lost party" in str(lost)
    assert lost.to_dict()["missing"] == ["zhuhai"]


@pytest.mark.parametrize(
    ("missing", "signed_by", "said"),
    [
        ((), PARTIES, "3 parties (guangdong, hongkong, macao), masked_sum, transcript 040404040404 replayed here and "),
        (("zhuhai",), PARTIES, "3 of 4 parties (guangdong, hongkong, macao; not counted: zhuhai), masked_sum, "),
        ((), PARTIES, "replayed here and signed by all; job mean-7f3c"),
        ((), PARTIES[:2], "replayed here and signed by all but macao; job mean-7f3c"),
    ],
)
def test_one_line_says_who_is_counted_and_who_signed(
    missing: tuple[str, ...], signed_by: tuple[str, ...], said: str
) -> None:
    assert said in signature(replace(RECEIPT, missing=missing, signed_by=signed_by))


def test_results_are_a_sequence_and_a_failed_one_raises_its_own_error() -> None:
    failure = Failure(code="misuse", message="no such thing", hint="another")
    outcomes = (Done(result=Hostile(label="a")), failure)
    results = Results(outcomes, (ASKED, ASKED), RECEIPT)
    assert len(results) == 2
    assert results[0].label == "a"
    assert [each.label for each in results[:1]] == ["a"]
    with pytest.raises(Misuse, match="mean\\('age'\\): no such thing"):
        list(results)
    assert results.failures == ((ASKED, failure),)
    assert json.loads(json.dumps(results.to_dict()))["results"][1]["error"]["hint"] == "another"


@pytest.mark.parametrize(("code", "kind"), [("refused", Refused), ("misuse", Misuse), ("internal", JobFailed)])
def test_a_failure_becomes_the_error_that_it_was(code: str, kind: type[Exception]) -> None:
    assert isinstance(error_of(Failure(code=code, message="m", rule="r"), ASKED), kind)


def test_only_plain_values_leave_a_result() -> None:
    assert plain((1, b"\xff", None, {"a": (2.5,)})) == [1, "ff", None, {"a": [2.5]}]
    with pytest.raises(TypeError, match="holds plain values"):
        plain(object())
