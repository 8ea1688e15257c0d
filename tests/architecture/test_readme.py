"""README's paragraph on the flow of one job names things that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
DOTTED = re.compile(r"`((?:federation|clients)(?:\.\w+)+)`")


def flow() -> str:
    return README.read_text("utf-8").split("## How one job flows")[1].split("\n## ")[0]


def resolved(name: str) -> object:
    """Import the longest module in a dotted name and walk the rest as attributes."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", DOTTED.findall(flow()))
def test_every_name_in_the_flow_of_a_job_can_be_imported(name: str) -> None:
    assert resolved(name) is not None


def test_the_flow_names_enough_to_be_a_map() -> None:
    assert len(DOTTED.findall(flow())) >= 15


def test_a_name_that_went_away_is_noticed() -> None:
    with pytest.raises((AttributeError, ModuleNotFoundError)):
        resolved("federation.query.round.gone")
