"""The floors and walls of DESIGN section 4 hold, and each of them is shown to hold something.

`make lint` judges the tree as it stands. Here every wall is broken on purpose in a copy of the tree, and the breach
must be reported by the contract that it breaks.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

FLOORS = "federation: a room imports only from the floors below it"
PROGRAMS = "clients: a room imports only from the floors below it"


class Breach(NamedTuple):
    """A file that should not be, and the words of the report that must name it."""

    path: str
    source: str
    reported: str


BREACHES = {
    "upward: crypto from domain": Breach("federation/crypto/breach.py", "import federation.domain.job", FLOORS),
    "upward: domain from query": Breach("federation/domain/breach.py", "import federation.query", FLOORS),
    "upward: analytics from jobs": Breach("federation/analytics/breach.py", "import federation.jobs", FLOORS),
    "upward, inside a function": Breach(
        "federation/ledger/breach.py", "def f() -> None:\n    import federation.protocols", FLOORS
    ),
    "upward: wire from the coordinator": Breach("federation/wire/breach.py", "import federation.coordinator", FLOORS),
    "siblings: analytics and policy": Breach("federation/policy/breach.py", "import federation.analytics", FLOORS),
    "siblings: wire and jobs": Breach("federation/wire/breach.py", "import federation.jobs", FLOORS),
    "upward: errors from registry": Breach("federation/errors.py", "import federation.registry", FLOORS),
    "a room without a floor": Breach("federation/utils/__init__.py", "", "utils"),
    "a program without a floor": Breach("clients/helpers/__init__.py", "", "helpers"),
    "upward: channel from researcher": Breach("clients/channel/breach.py", "import clients.researcher", PROGRAMS),
    "siblings: researcher and jurisdiction": Breach(
        "clients/researcher/breach.py", "import clients.jurisdiction", PROGRAMS
    ),
    "clients from federation": Breach(
        "federation/jobs/breach.py", "import clients.channel", "federation never imports"
    ),
    "coordinator from researcher": Breach(
        "clients/researcher/breach.py", "import federation.coordinator", "reach the coordinator"
    ),
    "coordinator from jurisdiction": Breach(
        "clients/jurisdiction/breach.py", "import federation.coordinator", "reach the coordinator"
    ),
    "jurisdiction from portal": Breach("clients/portal/breach.py", "import clients.jurisdiction", "portal never"),
    "torch in federation": Breach("federation/training/breach.py", "import torch", "torch is only"),
    "torch in a client": Breach("clients/jurisdiction/breach.py", "import torch", "torch is only"),
    "duckdb in federation": Breach("federation/query/breach.py", "import duckdb", "what reads rows"),
    "sqlglot in the coordinator": Breach("federation/coordinator/breach.py", "import sqlglot", "what reads rows"),
    "pandas in researcher": Breach("clients/researcher/breach.py", "import pandas", "what reads rows"),
    "pyarrow in portal": Breach("clients/portal/breach.py", "import pyarrow", "what reads rows"),
    "grpc in query": Breach("federation/query/breach.py", "import grpc", "grpc is only"),
    "grpc in jurisdiction": Breach("clients/jurisdiction/breach.py", "import grpc", "grpc is only"),
    "health service in local": Breach("clients/local/breach.py", "import grpc_health.v1", "grpc is only"),
    "pydantic in the coordinator": Breach("federation/coordinator/breach.py", "import pydantic", "pydantic is only"),
    "pydantic in wire": Breach("federation/wire/breach.py", "import pydantic", "pydantic is only"),
    "phe in crypto": Breach("federation/crypto/paillier/breach.py", "def f() -> None:\n    import phe", "phe is only"),
    "phe in a client": Breach("clients/jurisdiction/breach.py", "from phe import paillier", "phe is only"),
    "settings in jurisdiction": Breach(
        "clients/jurisdiction/breach.py", "import pydantic_settings", "pydantic is only"
    ),
}

PERMITTED = {
    "the daemon dials": Breach("clients/jurisdiction/daemon.py", "import grpc", ""),
    "a config file validates": Breach(
        "clients/jurisdiction/config.py", "import pydantic\nimport pydantic_settings", ""
    ),
    "an engine reads rows": Breach("clients/jurisdiction/engines/breach.py", "import duckdb\nimport sqlglot", ""),
    "the trainer trains": Breach("clients/jurisdiction/trainer.py", "import torch", ""),
    "a type is named": Breach(
        "federation/query/breach.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import federation.jobs",
        "",
    ),
    "the face of the package": Breach("federation/__init__.py", "def connect():\n    import clients.channel", ""),
    "local holds all programs": Breach("clients/local/breach.py", "import federation.coordinator", ""),
}


@pytest.fixture
def house(repository: Path, tmp_path: Path) -> Path:
    """Return a copy of both wings and of the contracts."""
    for wing in ("federation", "clients"):
        shutil.copytree(repository / wing, tmp_path / wing, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", tmp_path)
    return tmp_path


def plant(house: Path, breach: Breach) -> None:
    """Write the breach into the house; a file that is there already gets it at its end."""
    path = house / breach.path
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + breach.source + "\n")


def judged(house: Path) -> tuple[bool, str]:
    """Return whether import-linter keeps all contracts in `house`, and its report without line breaks."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache", "--no-logo"], cwd=house, capture_output=True, text=True, check=False)
    return done.returncode == 0, re.sub(r"\s+", " ", done.stdout + done.stderr)


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_reported(house: Path, name: str) -> None:
    plant(house, BREACHES[name])
    kept, report = judged(house)
    assert not kept, f"nobody saw it: {name}"
    broken = report.split("Broken contracts")[-1]
    assert BREACHES[name].reported in broken, report
    room = BREACHES[name].path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert f"{room} -> " in broken or BREACHES[name].reported == room.split(".")[-1], report


@pytest.mark.parametrize("name", PERMITTED)
def test_what_a_room_is_for_is_permitted(house: Path, name: str) -> None:
    before, report = judged(house)
    assert before, report
    plant(house, PERMITTED[name])
    kept, report = judged(house)
    assert kept, report
