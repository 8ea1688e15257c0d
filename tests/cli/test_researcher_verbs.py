"""run, plan, catalog and result: the same answers as in Python, the result on stdout and the story on stderr."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clients.cli import progress
from clients.cli.main import main
from clients.cli.output import Format
from clients.researcher import session
from clients.researcher.session import Session
from federation.crypto.paillier.keys import PublicKey
from federation.crypto.paillier.threshold import dealt
from federation.domain.job import Blame, PartyProgress, State, Update
from federation.wire.certificates import EPOCH_MS, Certified
from tests.researcher.fake import NOW_S, PARTIES, Fake, one_more, pooled, publication

JOB = """
data = "tb"
purpose = "study"
where = "cost >= 0"
[[statistic]]
name = "count"
[[statistic]]
name = "mean"
column = "age"
by = "sex"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDERATION_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def job(home: Path) -> str:
    path = home / "job.toml"
    path.write_text(JOB, "utf-8")
    return str(path)


def connected(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Fake:
    """Let every profile lead to `fake`."""

    def connect(name: str = "", **_: object) -> Session:
        assert name in ("", "bay")
        return Session(fake, now_s=lambda: NOW_S, entropy=lambda size: bytes(range(size)))

    monkeypatch.setattr(session, "connect", connect)
    return fake


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return connected(monkeypatch, Fake())


def test_run_prints_the_result_and_tells_the_story_beside_it(
    job: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", job]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("count() of tb where cost >= 0\n")
    assert "130" in out
    assert "mean('age', by='sex')" in out
    assert err.splitlines() == [
        f"count-0001: {state}, round 0: " + ", ".join(f"{party} {step} 1.2 kB" for party in PARTIES)
        for state, step in (("under review", "offered"), ("running", "permitted"), ("released", "attested"))
    ]
    assert fake.closed


def test_run_in_json_is_one_envelope_with_results_and_receipt(
    job: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", job, "-p", "bay", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["exit_code"]) == ("ok", 0)
    assert found["data"]["results"][0]["result"]["estimates"][0]["value"] == 130
    assert found["data"]["receipt"]["signed_by"] == list(PARTIES)
    assert bytes.fromhex(found["data"]["job_hash"]) in fake.jobs


@pytest.mark.usefixtures("fake")
def test_run_in_jsonl_streams_the_story_and_ends_with_the_envelope(
    job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", job, "-o", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"]["state"] for line in lines[:-1]] == ["under review", "running", "released"]
    assert lines[-1]["status"] == "ok"


def test_a_job_can_be_handed_in_now_and_fetched_later(job: str, fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", job, "--no-wait"]) == 0
    assert capsys.readouterr() == ("count-0001\n", "hint: federation result count-0001\n")
    assert len(fake.jobs) == 1
    assert main(["result"]) == 0
    assert "count-0001" in capsys.readouterr().out
    assert main(["result", "count", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["results"][0]["result"]["estimates"][0]["value"] == 130
    assert len(fake.jobs) == 1


@pytest.mark.parametrize("arguments", [["plan"], ["run", "--dry-run"]])
def test_plan_and_dry_run_show_what_would_open_and_ask_nobody(
    arguments: list[str], job: str, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, job]) == 0
    out, err = capsys.readouterr()
    assert "seen by: guangdong, hongkong, macao, the coordinator, alice" in out
    assert err == ""
    assert not fake.jobs
    assert main([*arguments, job, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["questions"] == ["count()", "mean('age', by='sex')"]


@pytest.mark.usefixtures("fake")
def test_a_plan_with_a_question_that_would_fail_is_a_usage_error(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(job).write_text(JOB.replace('"age"', '"agee"'), "utf-8")
    assert main(["plan", job]) == 2
    assert "mean('agee', by='sex') would fail: data set 'tb' has no column 'agee'" in capsys.readouterr().out
    assert main(["run", job]) == 2
    assert "did you mean 'age'?" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
def test_the_catalogue_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "ls"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        *["tb", "Tuberculosis", "肺结核", "person", "3", "1"],
        *["guangdong,", "hongkong,", "macao"],
    ]
    assert main(["catalog", "show", "tb"]) == 0
    assert "999 (refused)" in capsys.readouterr().out
    assert main(["catalog", "show", "tb", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["columns"][0]["high"] == 120
    assert main(["catalog", "show", "bt"]) == 2
    assert "hint: known: tb" in capsys.readouterr().err


def test_publications_that_disagree_are_noted_beside_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = {party: publication() for party in PARTIES} | {"macao": publication(unit="visit")}
    connected(monkeypatch, Fake(published=published))
    assert main(["catalog", "ls"]) == 0
    out, err = capsys.readouterr()
    assert out == "nothing is published\n"
    assert err.startswith("note: tb cannot be used: macao and guangdong publish")


# --- endings ---------------------------------------------------------------------------------------------------------


def test_a_refusal_is_exit_3_with_every_party_rule_and_remedy(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blames = [
        Blame(party=party, code="refused", message=f"{party} refuses by rule purposes: a clause", hint="use 'tb'")
        for party in ("hongkong", "macao")
    ]
    connected(monkeypatch, Fake(ending=(State.REFUSED, blames)))
    assert main(["run", job]) == 3
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: hongkong, macao refuse by rule purposes: a clause",
        "hint: use 'tb'",
    ]


def test_a_lie_is_exit_1_and_nothing_is_printed_as_a_result(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connected(monkeypatch, Fake(lie=one_more))
    assert main(["run", job, "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["error"]["code"] == "protocol_violation"
    assert found["error"]["party"] == "relay"
    assert "data" not in found


def test_an_aborted_job_is_exit_4_when_somebody_was_late(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = Blame(party="macao", code="unavailable", message="macao did not send what was due", hint="ask it")
    connected(monkeypatch, Fake(ending=(State.ABORTED, [late])))
    assert main(["run", job]) == 4
    assert "error: macao did not send what was due\nhint: ask it\n" in capsys.readouterr().err


def test_a_partly_failed_job_prints_what_there_is_and_exits_1(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    published = {party: publication(k=25, own_figures=False) for party in PARTIES}
    connected(monkeypatch, Fake(published=published))
    Path(job).write_text(JOB.replace('name = "mean"\ncolumn = "age"', 'name = "count"'), "utf-8")
    assert main(["run", job, "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "failed"
    assert found["data"]["results"][0]["result"]["estimates"][0]["value"] == len(pooled("cost"))
    assert found["data"]["results"][1]["error"]["rule"] == "contributors"


def test_ctrl_c_stops_following_and_says_that_the_job_goes_on(
    job: str, fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(job_hash: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "watch", interrupted)
    assert main(["run", job]) == 130
    assert capsys.readouterr().err == (
        "hint: the job goes on without us: federation result count-0001\nerror: interrupted\n"
    )


@pytest.mark.usefixtures("home")
def test_without_a_profile_the_next_step_is_said(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", job]) == 2
    err = capsys.readouterr().err
    assert "there is no list of profiles" in err
    assert 'coordinator = "host:port"' in err


# --- progress --------------------------------------------------------------------------------------------------------


def update(step: str, sent_bytes: int, *, connected: bool = True) -> Update:
    parties = (PartyProgress(party="macao", step=step, connected=connected, sent_bytes=sent_bytes),)
    return Update(job_hash=b"\1" * 32, state=State.RUNNING, round_index=1, parties=parties)


def test_a_pipe_gets_a_line_a_change_and_none_for_bytes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress("job", output=Format.TABLE) as shown:
        shown.show(update("sent", 10))
        shown.show(update("sent", 20))
        shown.show(update("sent", 20, connected=False))
    assert capsys.readouterr().err.splitlines() == [
        "job: running, round 1: macao sent 10 B",
        "job: running, round 1: macao sent (offline) 20 B",
    ]


def test_a_terminal_gets_one_live_line_a_party(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "on_terminal", lambda _: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.Progress("job", output=Format.TABLE) as shown:
        shown.show(update("se[b]nt\x1b[2J", 1_250_000))
        shown._live.refresh()  # type: ignore[union-attr]
    err = capsys.readouterr().err
    assert "macao" in err
    assert "se[b]nt" in err
    assert "1.2 MB" in err
    assert "nt\x1b[2J" not in err


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3 * 10**13, "30000.0 GB")]
)
def test_bytes_are_said_for_people(count: int, said: str) -> None:
    assert progress.size(count) == said


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("offered", "offered"),
        ("sent advert 1", "sent its keys for round 1"),
        ("sent head 0", "sent masked numbers"),
        ("sent unmask 12", "gave the shares that open"),
        ("sent something 3", "sent something 3"),  # of a protocol that came later
    ],
)
def test_steps_are_said_for_people(step: str, said: str) -> None:
    assert progress.worded(step) == said
    assert f"macao {said} 10 B" in progress.line("job", update(step, 10))


# --- protection and receipts -----------------------------------------------------------------------------------------


def keys() -> list[Certified]:
    """A joint key of everybody, as its holders signed it; nothing is decrypted in these tests."""
    joint, _ = dealt(512, PARTIES, bytes(32))
    joint = replace(joint, sid=b"s" * 32, public=PublicKey.joint(joint.public.n, b"s" * 32))
    expires_ms = round(NOW_S * 1000) + EPOCH_MS
    return [Certified(joint=joint, transcript=bytes(32), made_ms=0, expires_ms=expires_ms, signatures=())]


def test_plan_says_in_one_sentence_why_a_job_is_protected_as_it_is(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connected(monkeypatch, Fake())
    assert main(["plan", job]) == 0
    assert "protection: masks: these parties hold no joint key\n" in capsys.readouterr().out
    monkeypatch.setattr("federation.jobs.protection.PRODUCTION_BITS", 512)
    connected(monkeypatch, Fake(keys=keys()))
    assert main(["plan", job]) == 0
    out = capsys.readouterr().out
    assert "protection: a joint key: these parties hold it, and anyone can audit what is summed under it\n" in out
    assert "paillier_sum: the coordinator with up to 2 of the parties" in out
    assert main(["plan", job, "--protection", "masks", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["protection"], data["key"], data["why"]) == ("masked_sum", "", "masks, as asked")


@pytest.mark.usefixtures("fake")
def test_a_key_that_is_asked_for_and_is_not_there_is_exit_3(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", job, "--protection", "paillier"]) == 3
    err = capsys.readouterr().err
    assert "these parties hold no joint key" in err
    assert 'ask with protection "masks"' in err
    assert main(["run", job, "--protection", "pailier"]) == 2
    assert "did you mean 'paillier'?" in capsys.readouterr().err


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("verb", ["run", "result"])
def test_a_receipt_is_written_where_the_line_says(
    verb: str, job: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "count.receipt"
    if verb == "result":
        assert main(["run", job, "--no-wait"]) == 0
    assert main([verb, job if verb == "run" else "count", "--receipt", str(file)]) == 0
    assert f"receipt: {file}\n" in capsys.readouterr().err
    found = json.loads(file.read_text("utf-8"))
    assert found["schema"] == "federation/receipt/v1"
    assert found["signed_by"] == list(PARTIES)
    assert len(bytes.fromhex(found["figures"])) == 32
