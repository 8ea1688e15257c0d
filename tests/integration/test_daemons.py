"""Real daemons on loopback: exact answers, nothing leaks, kill -9 costs a pause, stop ends everything."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.stage import COORDINATOR, Stage
from clients.researcher.session import Session
from federation.errors import FederationError, Refused, Unavailable
from federation.query.predicate import PredicateError

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, all_rows, rows_of, written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("fed")
    with Stage(folder / "stage", written(folder), wire_log=True) as stage:
        yield stage


@pytest.fixture
def session(running: Stage) -> Iterator[Session]:
    with running.session() as opened:
        yield opened


def test_three_daemons_answer_as_the_pooled_rows_do(session: Session) -> None:
    table = session.table("people", purpose="test")
    incomes = [income for income, _, _ in all_rows()]
    ages = [age for _, age, _ in all_rows() if age >= 0]
    assert table.count().value == len(incomes)
    assert table.sum("income").value == sum(incomes)
    mean: Any = table.mean("age")
    assert mean.value == pytest.approx(statistics.fmean(ages), rel=1e-12)
    assert mean.n == len(ages)
    assert mean.n_missing == (("age", "null", 0), ("age", "not stated", len(incomes) - len(ages)))
    assert table.var("age").value == pytest.approx(statistics.variance(ages), rel=1e-12)
    women = [age for _, age, sex in all_rows() if age >= 40 and sex == "f"]
    assert table.where("age >= 40 and sex == 'f'").mean("age").value == pytest.approx(statistics.fmean(women))
    histogram: Any = table.histogram("age", bins=[0, 30, 60, 120])
    assert sum(row[2] for row in histogram.table().rows if isinstance(row[2], int)) == len(ages)


def test_several_statistics_are_one_job(session: Session) -> None:
    table = session.table("people", purpose="test")
    found = session.run([table.ask.count(), table.ask.mean("age"), table.ask.mean("age", by="sex")], data=table)
    assert found[0].value == len(all_rows())
    assert len({str(each.receipt) for each in found}) == 1


def test_nothing_on_the_wire_in_the_store_or_in_a_log_holds_a_row(running: Stage, session: Session) -> None:
    session.table("people", purpose="test").var("income")
    files = [path for path in running.folder.rglob("*") if path.is_file() and "keys" not in path.parts]
    names = {path.name for path in files}
    assert {"coordinator.log", "guangdong.log", "events.db", "daemon.log", "sealed.db"} <= names
    canaries = [income for income, _, _ in all_rows()]
    forms = [f(x) for x in canaries for f in (lambda x: str(x).encode(), lambda x: x.to_bytes(8, "little"))]
    own_sums = [sum(income for income, _, _ in rows_of(i)) for i in range(3)]
    forms += [f(x) for x in own_sums for f in (lambda x: str(x).encode(), lambda x: x.to_bytes(8, "little"))]
    for path in files:
        content = path.read_bytes()
        assert not any(form in content for form in forms), path.name
    # The search finds what it looks for: the same forms stand in a party's own file, which no member sends.
    planted = (running.folder.parent / "guangdong.csv").read_bytes()
    assert sum(form in planted for form in forms) >= 60


def test_a_purpose_that_the_policy_does_not_know_is_refused_by_every_party(session: Session) -> None:
    with pytest.raises(Refused) as caught:
        session.table("people", purpose="curiosity").count()
    assert caught.value.exit_code == 3
    assert {blame.party for blame in getattr(caught.value, "blames", ())} == set(PARTIES)
    assert "purposes" in caught.value.rule


@pytest.mark.parametrize(
    ("where", "position"),
    [
        ("age >= 40 and __import__('os')", 14),
        ("agee > 3", 0),
        ("age > 3; drop table people", 7),
        ("(" * 5000, 4096),
    ],
)
def test_a_predicate_with_a_fault_is_refused_before_it_leaves_the_researcher(
    session: Session, where: str, position: int
) -> None:
    with pytest.raises(PredicateError) as caught:
        session.table("people", purpose="test").where(where).count()
    assert caught.value.position == position


def test_a_second_coordinator_on_the_same_folder_is_refused(running: Stage) -> None:
    with pytest.raises(Unavailable, match="runs on"):
        running.start_coordinator()


def _watched(session: Session, results: list[object]) -> threading.Thread:
    def ask() -> None:
        try:
            results.append(session.table("people", purpose="test", deadline_s=40.0).sum("income").value)
        except FederationError as fault:
            results.append(fault)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def _until(condition: Any, limit_s: float = 30.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "the other side never came so far"
        time.sleep(0.02)


@pytest.mark.timeout(120)
def test_kill_9_of_a_daemon_and_of_the_coordinator_costs_a_pause_and_not_the_job(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage", written(tmp_path)) as stage, stage.session() as session:
        expected = sum(income for income, _, _ in all_rows())
        stage.processes["macao"].send_signal(signal.SIGSTOP)  # attends, and answers nothing
        results: list[object] = []
        permitted: set[str] = set()
        session.on_update = lambda update: permitted.update(p.party for p in update.parties if p.step != "offered")
        thread = _watched(session, results)
        _until(lambda: {"guangdong", "hongkong"} <= permitted)
        stage.processes["macao"].send_signal(signal.SIGKILL)
        stage.processes["macao"].wait()
        stage.processes[COORDINATOR].send_signal(signal.SIGKILL)
        stage.processes[COORDINATOR].wait()
        stage.start_coordinator()
        stage.launch("macao")
        stage.await_attending("macao")
        thread.join(60)
        assert results == [expected]


@pytest.mark.timeout(120)
def test_a_party_that_does_not_come_back_ends_the_job_by_name(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage", written(tmp_path)) as stage, stage.session() as session:
        table = session.table("people", purpose="test", deadline_s=2.0)
        stage.processes["hongkong"].send_signal(signal.SIGSTOP)
        with pytest.raises(FederationError) as caught:
            table.count()
        stage.processes["hongkong"].send_signal(signal.SIGCONT)
        assert caught.value.exit_code in (3, 4)
        assert "hongkong" in str(caught.value)
        assert "guangdong" not in str(caught.value)


def test_stop_ends_every_process_and_frees_the_port(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", written(tmp_path))
    with stage:
        pids = [process.pid for process in stage.processes.values()]
        host, _, port = stage.address.rpartition(":")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    socket.create_server((host, int(port))).close()
    assert not list((tmp_path / "stage" / "state").rglob("control.sock"))
