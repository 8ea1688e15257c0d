"""Every verb of a training: its rounds on stderr, its result on stdout, its model in a file, and what stands for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from clients.cli import progress, training
from clients.cli.main import main
from clients.cli.output import Format
from clients.local.federation import LocalTransport, federation_of
from clients.researcher import audit_training, evidence, job_record, session
from clients.researcher.session import Session
from clients.researcher.training import Round
from federation.domain.job import PartyProgress, Released, State, Update
from federation.jobs.training import Progress
from federation.training.evaluation import Figures

PARTIES = ("guangdong", "hongkong", "macao")
JOB = """
purpose = "study"
data = "data"

[train]
model = "mlp"
target = "ill"
strategy = { name = "fedavg", rounds = 3, lr = 0.5 }
config = { hidden = [4] }
seed = 1
"""


def frame(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    age, cost = draw.normal(50, 10, 80), draw.normal(0, 1, 80)
    return pd.DataFrame({"age": age, "cost": cost, "ill": (age / 10 + cost > 5).astype(int)})


class Kept(LocalTransport):
    """A federation that outlives the sessions on it, and may lie about what it holds."""

    released_as: Any = staticmethod(lambda released: released)
    model_as: Any = staticmethod(lambda data: data)

    def released(self, job_hash: bytes) -> Released:
        return self.released_as(super().released(job_hash))

    def model(self, job_hash: bytes, *, best: bool) -> bytes:
        return self.model_as(super().model(job_hash, best=best))

    def close(self) -> None:
        """Stay."""


@pytest.fixture(scope="module")
def made() -> Iterator[Kept]:
    transport = federation_of({party: frame(seed) for seed, party in enumerate(PARTIES)})
    yield Kept(transport.network, transport.roster, transport._me)
    transport.close()


@pytest.fixture
def kept(made: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(session, "connect", lambda *_, **__: Session(made))
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDERATION_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB, "utf-8")
    return tmp_path


def answered(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert main([*arguments, "-o", "json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("home", "kept")
def test_run_tells_the_rounds_on_stderr_and_the_result_on_stdout(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "job.toml", "--model", "model.safetensors", "--receipt", "ill.receipt"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("mlp by fedavg, 17 parameters\nround")
    assert "signed by guangdong, hongkong, macao" in out
    told = [line for line in err.splitlines() if re.match(r"train-ill-mlp-\w{4}: round \d", line)]
    assert [re.search(r"round (\d)", line)[1] for line in told] == ["1", "2", "3"]  # type: ignore[index]
    assert all(re.search(r"loss 0\.\d+  accuracy .*seconds .*KB a party", line) for line in told)
    assert "model: model.safetensors\nreceipt: ill.receipt\n" in err
    tensors = load_file(home / "model.safetensors")
    assert sum(tensor.size for tensor in tensors.values()) == 17
    assert json.loads((home / "ill.receipt").read_text("utf-8"))["purpose"] == "study"


@pytest.mark.usefixtures("home", "kept")
def test_in_json_every_round_has_its_figures_and_the_model_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    data = answered(capsys, "run", "job.toml")["data"]
    assert (data["model"], data["strategy"], data["target"], data["parameters"]) == ("mlp", "fedavg", "ill", 17)
    assert data["features"] == ["age", "cost"]
    assert [one["round"] for one in data["rounds"]] == [1, 2, 3]
    assert all(one["figures"]["n"] and one["bytes_a_party"] > 0 for one in data["rounds"])
    assert data["receipt"]["figures"] == data["sha256"]
    assert main(["run", "job.toml", "-o", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [line["event"]["trained"]["round"] for line in lines if "trained" in line.get("event", {})]
    assert told == [1, 2, 3]
    assert lines[-1]["data"]["sha256"] == data["sha256"], "one seed, one model"


@pytest.mark.usefixtures("home", "kept")
def test_plan_and_dry_run_tell_all_sums_and_ask_nobody(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(kept.jobs())
    for arguments in (["plan", "job.toml"], ["run", "job.toml", "--dry-run"]):
        assert main(arguments) == 0
        out, err = capsys.readouterr()
        assert "sum of updates by fedavg of mlp's 17 parameters" in out
        assert err == ""
    assert answered(capsys, "plan", "job.toml")["data"]["training"]["rounds"] == 3
    assert len(kept.jobs()) == before


@pytest.mark.usefixtures("kept")
def test_a_training_that_was_handed_in_is_fetched_listed_and_described(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "job.toml", "--no-wait"]) == 0
    name = capsys.readouterr().out.strip()
    assert main(["result"]) == 0
    asked = "train('ill', model='mlp', strategy=fedavg(lr=0.5, rounds=3), features=['age', 'cost']"
    assert asked in capsys.readouterr().out
    assert answered(capsys, "result", name, "--model", "again.safetensors")["data"]["parameters"] == 17
    assert (home / "again.safetensors").exists()
    listed = next(row for row in answered(capsys, "get", "jobs")["data"] if row["job"] == name)
    assert (listed["state"], listed["sums"]) == ("released", "7/7")
    assert asked in answered(capsys, "describe", name)["data"]["questions"][0]


@pytest.mark.usefixtures("kept")
def test_a_model_is_never_written_over_and_statistics_have_none(
    home: Path, kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(kept.jobs())
    (home / "model.safetensors").write_text("mine")
    assert main(["run", "job.toml", "--model", "model.safetensors"]) == 2
    assert "is there already" in capsys.readouterr().err
    (home / "count.toml").write_text('data = "data"\n[[statistic]]\nname = "count"\n')
    assert main(["run", "count.toml", "--model", "other.safetensors"]) == 2
    assert "there is no model to write" in capsys.readouterr().err
    (home / "both.toml").write_text(f'{JOB}\n[[statistic]]\nname = "count"\n')
    assert main(["run", "both.toml"]) == 2
    assert "not both" in capsys.readouterr().err
    (home / "keyed.toml").write_text(f'protection = "paillier"\n{JOB}')
    assert main(["run", "keyed.toml"]) == 3
    assert "joint key" in capsys.readouterr().err
    assert len(kept.jobs()) == before, "all of these are said before anybody is asked"
    assert (home / "model.safetensors").read_text() == "mine"


# --- verify ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def profiled(home: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Let every profile lead to `kept`, for `verify` too."""
    (home / "profiles.toml").write_text('[bay]\ncoordinator = "127.0.0.1:9"\nkeys = "keys"\nroster = "roster"\n')
    monkeypatch.setattr(evidence.keys, "load", lambda _: kept._me)
    monkeypatch.setattr(evidence.keys, "check_joined", lambda *_: None)
    monkeypatch.setattr(evidence.roster_file, "load", lambda _: kept.roster)
    monkeypatch.setattr(evidence, "RemoteTransport", lambda *_: kept)
    return kept


@pytest.fixture
def handed_in(profiled: Kept, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", "job.toml", "--receipt", "ill.receipt"]) == 0
    capsys.readouterr()
    return profiled.jobs()[-1].job.name


@pytest.mark.usefixtures("profiled")
def test_verify_says_what_stands_for_a_training_and_what_nobody_can_prove(
    handed_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", handed_in]) == 0
    out, _ = capsys.readouterr()
    for words in (
        "asks train('ill'",
        "signed this transcript",
        "3 rounds of updates, 3 evaluations",
        "the file of the best model",
        "the file of the last model",
        "no vector is kept",
        "not provable here",
        "holds:",
    ):
        assert words in out
    found = answered(capsys, "verify", "ill.receipt")["data"]
    assert found["holds"]
    assert found["lines"][-1]["claim"] == "every line of it follows from what was signed"


@pytest.mark.usefixtures("profiled")
def test_a_training_that_python_handed_in_is_verified_by_the_coordinators_list(
    home: Path, handed_in: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for record in (home / job_record.FOLDER).iterdir():
        record.unlink()
    assert answered(capsys, "verify", handed_in)["data"]["holds"]


def one_more(released: Released) -> Released:
    evaluation = next(i for i, total in enumerate(released.totals) if len(total) > 100)
    total = released.totals[evaluation]
    altered = (total[0], total[1] + 1, *total[2:])  # the sum of losses
    return replace(released, totals=tuple(altered if i == evaluation else t for i, t in enumerate(released.totals)))


def one_less(released: Released) -> Released:
    return replace(released, totals=released.totals[:-1], contributors=released.contributors[:-1])


@pytest.mark.parametrize(
    ("what", "lie", "said"),
    [
        ("released_as", one_more, "the totals that all parties signed"),
        (
            "released_as",
            one_less,
            "all secure sums",
        ),
        ("released_as", lambda r: replace(r, attested_by=r.attested_by[:1]), "signed by the parties"),
        ("model_as", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "the model of round"),
        ("model_as", lambda _: b"PK\x03\x04", "the model of round"),
    ],
)
def test_a_false_figure_or_model_names_the_coordinator(
    what: str,
    lie: Any,
    said: str,
    handed_in: str,
    profiled: Kept,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(profiled, what, lie)
    found = answered(capsys, "verify", handed_in, code=1)["data"]
    broken = found["lines"][-1]
    assert (broken["standing"], broken["by"]) == ("broken", ["coordinator"])
    assert said in broken["claim"]
    assert not found["figures"]


def test_a_changed_receipt_and_another_roster_are_seen(
    home: Path, handed_in: str, profiled: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "ill.receipt"
    path.write_text(path.read_text("utf-8").replace('"purpose": "study"', '"purpose": "other"'), "utf-8")
    broken = answered(capsys, "verify", "ill.receipt", code=1)["data"]["lines"][-1]
    assert (broken["by"], broken["claim"].endswith("another: purpose")) == ([audit_training.WHOSE], True)
    assert main(["verify", handed_in, "--save", "x.evidence"]) == 2
    assert "its updates are not kept" in capsys.readouterr().err
    newer = replace(profiled.roster, version=9)
    monkeypatch.setattr(evidence.roster_file, "in_force", lambda _: newer)
    assert main(["verify", handed_in]) == 3
    assert "another roster" in capsys.readouterr().err


# --- the live lines -------------------------------------------------------------------------------------------------


def test_a_terminal_gets_a_growing_table_and_the_parties_below_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "on_terminal", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    figures = Figures(n=9, loss=0.25, accuracy=0.75)
    with training.Rounds("job", output=Format.TABLE) as shown:
        party = PartyProgress(party="macao", step="sent head 3", connected=True, sent_bytes=1_250_000)
        shown.show(Update(job_hash=bytes(32), state=State.RUNNING, round_index=3, parties=(party,)))
        for index in range(20):
            told = Progress(round_index=index, parties=PARTIES, weight=9, clipped=0.0, figures=figures)
            shown.add(Round(progress=told, seconds=0.5, sent_bytes=2_000))
    err = capsys.readouterr().err
    assert "macao" in err
    assert "1.2 MB" in err
    assert "0.25" in err
    last = err[err.rindex("accuracy") :]
    assert re.search(r"\b20\b", last)
    assert not re.search(r"^\s+3\s", last, re.MULTILINE), "only the last rounds"


def test_a_log_says_a_change_of_state_and_no_step(capsys: pytest.CaptureFixture[str]) -> None:
    with training.Rounds("job", output=Format.TABLE) as shown:
        for step, connected in (("sent head 0", True), ("sent head 1", True), ("sent head 1", False)):
            party = PartyProgress(party="macao", step=step, connected=connected, sent_bytes=10)
            shown.show(Update(job_hash=bytes(32), state=State.RUNNING, round_index=1, parties=(party,)))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "(offline)" in lines[1]
