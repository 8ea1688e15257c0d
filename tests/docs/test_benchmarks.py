"""Benchmarks run, know the options that they show, count the bytes of their own connections, and say what they lack."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OF_OTHERS = ("flower_secagg", "heu_paillier", "phe_paillier", "tenseal_ckks")  # need the peers' environment to begin


def loaded(place: str) -> ModuleType:
    """Return a benchmark as a module with a name of its own; what lies beside it is found only while it is loaded."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{Path(place).stem}", BENCHMARKS / place)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS / "peers"))
        patch.syspath_prepend(str(BENCHMARKS))
        spec.loader.exec_module(module)
    return module


sockets, training = loaded("peers/sockets.py"), loaded("training.py")
training_rounds = loaded("peers/training_rounds.py")


def programs() -> Iterator[Path]:
    """Yield every program that our environment can start."""
    for path in sorted((*BENCHMARKS.glob("*.py"), *(BENCHMARKS / "peers").glob("*.py"))):
        if "argparse" in path.read_text() and path.stem not in OF_OTHERS:
            yield path.relative_to(BENCHMARKS)


def shown(program: Path) -> str:
    """Return what `--help` of a benchmark prints, which begins with its docstring."""
    command = [sys.executable, str(BENCHMARKS / program), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def unknown(text: str, program: Path) -> list[str]:
    """Return the options that the command lines of a help use and its list of options does not have."""
    page, _, options = text.partition("\noptions:")
    used = [
        word
        for line in page.splitlines()
        if f"benchmarks/{program} " in line
        for word in re.findall(r"--\w[\w-]*", line)
    ]
    return [option for option in used if not re.search(rf"{option}\b", options)]


@pytest.mark.parametrize("program", list(programs()), ids=str)
def test_a_benchmark_knows_the_options_that_its_help_shows(program: Path) -> None:
    text = shown(program)
    assert "\noptions:" in text
    assert not unknown(text, program)


def test_an_option_that_is_not_there_is_seen() -> None:
    text = "    python benchmarks/x.py --dim 3 --haste 9\n\noptions:\n  --dim DIM"
    assert unknown(text, Path("x.py")) == ["--haste"]


@pytest.mark.parametrize("dim", ["1000", "1000000"])  # the longer one goes out of line, and is let go of
def test_rounds_between_processes_are_measured(dim: str) -> None:
    options = ("--dim", dim, "--parties", "3", "--rounds", "1")
    command = [sys.executable, str(BENCHMARKS / "peers/loopback.py"), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):  # one that hangs must not leave its clients behind
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    found = json.loads(said.splitlines()[-1])  # before it the clients say that they are connected
    assert set(found) == {"plain", "ours", "ahead"}
    assert all(len(one["all_ms"]) == 1 and one["median_ms"] > 0 for one in found.values())


def test_masked_sums_are_measured_and_every_one_is_exact() -> None:
    """A sum that is not exact ends the run; the benchmark broke twice while nothing ran it."""
    options = ("--parties", "5", "--dim", "3000", "--dropped", "1", "--sums-only", "--repeat", "1", "--warm", "0")
    command = [sys.executable, str(BENCHMARKS / "masked_sum.py"), *options, "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["client_ms"] > 0
    assert found["aggregator_ms_dropped"].keys() == {"1"}


@pytest.mark.parametrize("dim", [100_000, 1_000_000, 10_000_000, 50_000_000])
def test_the_layers_of_a_size_have_about_so_many_parameters(dim: int) -> None:
    hidden = training_rounds.widths(dim)
    of = (1, *hidden, 1)
    parameters = sum(before * after + after for before, after in itertools.pairwise(of))
    assert abs(parameters - dim) <= 0.005 * dim
    assert max(hidden) <= training_rounds.WIDEST


def test_bytes_are_counted_of_the_asked_connection_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = server.getsockname()[1]
        near, bystander = (socket.create_connection(one.getsockname()) for one in (server, other))
        far, _ = server.accept()
        with near, bystander, far:
            near.sendall(bytes(5_000))
            bystander.sendall(bytes(70_000))
            far.recv(5_000, socket.MSG_WAITALL)
            far.sendall(bytes(300))
            near.recv(300, socket.MSG_WAITALL)
            found = sockets.traffic(os.getpid(), port)
    if found is None:
        pytest.skip("this kernel does not tell about connections")
    assert abs(found.sent - 5_000) <= 1  # the kernel counts the handshake as one
    assert abs(found.received - 300) <= 1


def test_what_cannot_be_measured_is_said_and_has_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    case, bars = training.Case(10_000_000, 3), training.Bars()

    def gone() -> dict[str, object]:
        raise training.Unmeasured("it is not here")

    case.take(training.PLAIN, gone)
    case.take(training.LIMIT, lambda: {"median_s": 0.25})
    case.take(training.MASKS, lambda: {"median_s": 0.5, "up": 40_100_000.0})
    training.judged(bars, case)
    assert "it is not here" in capsys.readouterr().out
    assert "ours, plain: not measured: it is not here" in training.shown(case)
    assert [row["what"] for row in bars.rows] == ["bytes up, masked, 10M, n = 3, times 4 a parameter"]
    assert len(bars.unmeasured) == 2


def test_ratios_are_taken_within_a_turn() -> None:
    case = training.Case(10_000_000, 3)
    for busy in (1.0, 10.0, 1.0):  # others came in the second turn, and slowed both
        case.take(training.LIMIT, lambda busy=busy: {"median_s": 0.2 * busy})
        case.take(training.PLAIN, lambda busy=busy: {"median_s": 0.3 * busy})
    assert case.ratio(training.PLAIN, training.LIMIT) == pytest.approx(1.5)


def test_a_program_that_fails_is_unmeasured_with_its_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text("raise SystemExit('no port is free')")
    (tmp_path / "none.py").write_text('print(\'{"missing": "not in this version"}\')')
    monkeypatch.setattr(training, "HERE", tmp_path)
    with pytest.raises(training.Unmeasured, match="no port is free"):
        training.ran(sys.executable, "bad.py")
    with pytest.raises(training.Unmeasured, match="not in this version"):
        training.ran(sys.executable, "none.py")
