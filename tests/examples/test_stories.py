"""The stories give the figures that were published or measured on pooled rows; those stand here, and in no code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from clients.local.federation import local
from clients.researcher.table import Table
from federation.errors import Refused
from federation_examples.report import Line, Report

FLIGHTS = {
    "flights that arrived": 327_346,
    "sum of delays, minutes": 2_257_174,
    "sum of squares": 667_678_098,
    "mean delay, minutes": 6.8953767573,
    "variance": 1992.1307271019,
    "p50 of delay, minutes": -5,
    "p90 of delay, minutes": 52,
    "p99 of delay, minutes": 190,
}
TUBERCULOSIS = {
    "years that all three reported": 14,
    "cases, Mainland China": 4_911_436,
    "cases, Hong Kong SAR": 23_033,
    "cases, Macao SAR": 2_233,
    "cases, all three": 4_936_702,
    "person-years, all three": 18_357_764_482,
    "rate per 100,000, Mainland China": 26.9047322324,
    "rate per 100,000, Hong Kong SAR": 24.0202064655,
    "rate per 100,000, Macao SAR": 32.0861823650,
    "rate per 100,000, all three": 26.8916294511,
}


def figures(report: Report) -> dict[str, int | float]:
    return {line.figure: line.federated for line in report.lines}


def near(expected: dict[str, int | float]) -> dict[str, object]:
    """Whole numbers to the last unit, others to 1e-9 relative or to their tenth decimal, whichever is wider."""
    return {
        name: value if isinstance(value, int) else pytest.approx(value, rel=1e-9, abs=6e-11)
        for name, value in expected.items()
    }


def test_three_airports_have_the_published_joint_delay(flights_report: Report) -> None:
    assert figures(flights_report) == near(FLIGHTS)
    assert flights_report.agrees


def test_three_places_have_the_published_cases_and_joint_rate(tuberculosis_report: Report) -> None:
    assert figures(tuberculosis_report) == near(TUBERCULOSIS)
    assert tuberculosis_report.agrees


def test_a_figure_that_is_off_by_one_does_not_agree(flights_report: Report) -> None:
    first, *others = flights_report.lines
    wrong = dataclasses.replace(first, federated=first.federated + 1)
    assert not dataclasses.replace(flights_report, lines=(wrong, *others)).agrees
    assert not Line(figure="", federated=1.0, pooled=1.0 + 2e-9, exact=False).agrees


def test_no_published_figure_stands_in_the_code(repository: Path) -> None:
    written = [repr(value) for value in (FLIGHTS | TUBERCULOSIS).values() if isinstance(value, float) or value > 1_000]
    files = [*(repository / "examples").rglob("*.py"), repository / "clients/cli/demo.py"]
    for path in files:
        text = re.sub(r"(?<=\d)[_,](?=\d)", "", path.read_text("utf-8"))
        assert not [value for value in written if value[:7] in text], path


def test_a_year_that_one_place_did_not_report_is_missing_and_not_zero(notifications: Table) -> None:
    reports = notifications.count("cases", by="year")
    assert {label: reports[label].value for label in ("1997", "1998", "1999", "2000")} == {
        "1997": 3,
        "1998": 2,  # Hong Kong
        "1999": 2,  # Macao
        "2000": 3,
    }
    missing = {(column, reason): count for column, reason, count in reports.n_missing}
    assert missing["cases", "null"] == 3 * 34 - (18 + 15 + 17)


def test_the_years_of_the_curves_are_those_that_everybody_reported(tuberculosis_report: Report) -> None:
    for curve in tuberculosis_report.drawing.curves:
        drawn = [year for year, rate in zip(curve.x, curve.y, strict=True) if rate is not None]
        assert drawn == [1997, *range(2000, 2013)]
        assert curve.x == tuple(range(1997, 2013))


def test_a_place_that_is_one_party_is_its_own_release_and_the_plan_says_so(notifications: Table) -> None:
    plan = notifications.plan(notifications.ask.sum("cases", by="place"))
    assert plan.preview.own_releases == 3
    assert "3 cells may be one party's own figure (3 of place)" in plan.summary()


def test_without_the_clause_no_place_opens(places: dict[str, Path]) -> None:
    with local(places, k=2, own_figures=False) as session:
        table = session.table("data")
        with pytest.raises(Refused):
            table.sum("cases", by="place")
        assert table.sum("cases").value is not None


def test_a_distribution_rises_to_its_end_and_the_joint_one_lies_between_the_airports(flights_report: Report) -> None:
    joint, *airports = [curve.y for curve in flights_report.drawing.curves]
    for shares in (joint, *airports):
        assert list(shares) == sorted(shares)
        assert 0 <= shares[0] < 0.01
        assert 0.99 < shares[-1] < 1
    for share, *own in zip(joint, *airports, strict=True):
        assert min(own) <= share <= max(own)
    assert [curve.joint for curve in flights_report.drawing.curves] == [True, False, False, False]


def test_the_report_is_plain_values_and_text(tuberculosis_report: Report) -> None:
    text = tuberculosis_report.text()
    for line in tuberculosis_report.lines:
        assert line.figure in text
    assert "k = 1" in text
    found = tuberculosis_report.to_dict()
    assert found["agrees"] is True
    assert {len(row) for row in tuberculosis_report.rows()} == {4}
