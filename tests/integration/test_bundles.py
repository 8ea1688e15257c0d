"""Three real daemons train with a bundle that their operators reviewed, and stop once one of them withdraws it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import federation as fed
from clients.cli.main import main
from clients.cli.stage import Stage
from clients.jurisdiction import bundle_file
from federation.errors import FederationError, Refused
from tests.attacks.models import authors

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(authors.has_sandbox()), reason=f"NOT RUN: daemons with a bundle; {authors.has_sandbox()}"),
]
pytest.importorskip("torch")

TABLES = """\
[policy]
statistics = ["train"]

[[dataset]]
name = "data"
source = "{source}"
unit = "person"
k = 10

[dataset.columns]
age = {{ kind = "integer", low = 0, high = 100 }}
pay = {{ kind = "real", low = -10000.0, high = 10000.0 }}
sex = {{ kind = "category", categories = ["f", "m"] }}
ill = {{ kind = "integer", low = 0, high = 1 }}
"""


def rows(index: int) -> str:
    random = np.random.default_rng(index)
    lines = [
        f"{age},{pay:.2f},{'fm'[i % 2]},{int(age > 50)}"
        for i, (age, pay) in enumerate(zip(random.integers(0, 101, 200), random.normal(0, 100, 200), strict=True))
    ]
    return "\n".join(["age,pay,sex,ill", *lines]) + "\n"


def test_three_daemons_train_with_a_reviewed_bundle_until_it_is_withdrawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = {}
    for index, party in enumerate(PARTIES):
        source = tmp_path / f"{party}.csv"
        source.write_text(rows(index))
        tables[party] = TABLES.format(source=source)
    packed = bundle_file.packed(authors.written(tmp_path / "net", authors.HONEST))
    file = tmp_path / "net.bundle"
    bundle_file.save(file, packed)
    with Stage(tmp_path / "stage", tables) as stage:
        for party in PARTIES[:2]:
            assert main(["bundle", "sign", str(file), str(stage.jurisdiction_file(party)), "--yes"]) == 0
        for party in PARTIES:
            assert main(["bundle", "approve", str(file), str(stage.jurisdiction_file(party)), "--yes"]) == 0
        asked = {"target": "ill", "features": ("age", "pay", "sex"), "purpose": ""}
        bundled = {"model": packed.manifest.model, "config": dict(packed.manifest.config)}
        with stage.session() as session:
            table = session.table("data")
            few, many = fed.FedAvg(rounds=3), fed.FedAvg(rounds=400)
            ours = session.train(model="linear", data=table, strategy=few, **asked).result()
            theirs = session.train(**bundled, data=table, strategy=few, **asked).result()
            assert theirs.model.tobytes() == ours.model.tobytes()
            running = session.train(**bundled, data=table, strategy=many, **asked)
            begun = running.watch()
            next(begun)
            called = packed.manifest.digest.hex()[:12]
            assert main(["bundle", "withdraw", called, str(stage.jurisdiction_file("macao"))]) == 0
            with pytest.raises(FederationError, match="macao") as ended:
                list(begun)
            assert "has not approved" in str(ended.value)
            with pytest.raises(Refused, match="has not approved"):
                session.train(**bundled, data=table, strategy=few, **asked).result()
    assert json.dumps(capsys.readouterr().out)
