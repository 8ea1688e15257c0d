"""Each story is told once a session, on `fed.local`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.local.federation import local
from clients.researcher.table import Table
from federation_examples.alone import alone
from federation_examples.flights import story as flights
from federation_examples.income import story as income
from federation_examples.report import Report
from federation_examples.social_insure import story as social_insure
from federation_examples.stops import story as stops
from federation_examples.tuberculosis import data as tuberculosis_data
from federation_examples.tuberculosis import story as tuberculosis


@pytest.fixture(scope="session")
def flights_report() -> Report:
    """Three airports."""
    return alone(flights.STORY)


@pytest.fixture(scope="session")
def tuberculosis_report() -> Report:
    """Three places."""
    return alone(tuberculosis.STORY)


@pytest.fixture(scope="session")
def income_report() -> Report:
    """Four regions."""
    return alone(income.STORY)


@pytest.fixture(scope="session")
def social_insure_report() -> Report:
    """Three groups of villages."""
    return alone(social_insure.STORY)


@pytest.fixture(scope="session")
def stops_report() -> Report:
    """Five precincts."""
    return alone(stops.STORY)


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Party -> its Parquet file."""
    return tuberculosis_data.split(tmp_path_factory.mktemp("places"))


@pytest.fixture
def notifications(places: dict[str, Path]) -> Iterator[Table]:
    """The table of the three places, where own figures may open."""
    with local(places) as session:
        yield session.table("data")
