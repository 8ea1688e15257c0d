"""X3, X4, X5: what approved code can do in its sandbox, and what becomes of what it answers.

Every test that needs bubblewrap says so where it is missing; that nothing runs without it is test_bundles.py. An attack
that fails here has to succeed outside, or it would show nothing: the same source is run both ways.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.jurisdiction import sandbox, worker
from clients.jurisdiction import worker_frames as frames
from clients.jurisdiction.confined import MOST_KEPT, Confined
from clients.jurisdiction.engines.duckdb import DuckDB
from clients.jurisdiction.sandbox import Limits
from clients.jurisdiction.trainer import Trainer
from federation.errors import JobFailed, Misuse, Refused
from federation.training import evaluation, plan
from federation.training.plan import Scaling
from federation.training.strategy import Public
from tests.attacks.models import authors
from tests.attacks.models.authors import CONFIG, ENTRIES, HONEST, OWN, SAYING, House

MISSING = authors.has_sandbox()
confined_only = pytest.mark.skipif(
    bool(MISSING), reason=f"NOT RUN: what approved code can do in its sandbox; {MISSING or 'bubblewrap is there'}"
)
HELD_OUT = authors.rows(20)
GOOD = "(0.0,) * 5"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return authors.house(tmp_path / "state")


@contextlib.contextmanager
def running(house: House, source: str, limits: Limits | None = None, **options: object) -> Iterator[Confined]:
    found = house.approved(source, house.state.parent / "bundle")
    confined = authors.confined(house, found, limits, **options)
    try:
        yield confined
    finally:
        confined.close()


def fails(house: House, source: str, limits: Limits | None = None, error: type[Exception] = JobFailed) -> str:
    """Return how an update with this source ends; its process is gone and its text said nothing."""
    with running(house, source, limits) as confined:
        started = []
        ready = confined._sandbox.start
        confined._sandbox.start = lambda *args, **more: started.append(ready(*args, **more)) or started[-1]  # type: ignore[method-assign, func-returns-value]
        with pytest.raises(error) as fault:
            confined.update(authors.work(), HELD_OUT)
        assert [one._process.poll() is not None for one in started] == [True]
    return str(fault.value)


# ----------------------------------------------------------------------------------------------------- an honest bundle


@confined_only
def test_a_trainer_gives_the_bits_with_a_bundle_that_it_gives_with_a_model_of_ours(house: House) -> None:
    pytest.importorskip("torch")
    random = np.random.default_rng(5)
    frame = pd.DataFrame({"age": random.integers(0, 101, 300), "pay": random.normal(0, 500, 300)})
    frame["sex"], frame["ill"] = random.choice(["f", "m"], 300), (frame["age"] > 60).astype(int)
    scaling = Scaling(centre=(50.0, 0.0), scale=(25.0, 500.0))
    theirs = replace(authors.course(house.approved(HONEST, house.state.parent / "bundle")), strategy="ditto")
    ours = replace(theirs, model="linear", config=())
    said = []
    with DuckDB.open(OWN, frame) as engine:
        for asked in (ours, theirs):
            trainer = Trainer(engine, OWN, OWN, asked, "hk", bundles=house.bundles)
            public = Public(model=plan.chosen(ours, OWN).layout.initial(bytes(32)))
            first, again = (trainer.update(public, (), 0, scaling) for _ in range(2))
            later = trainer.update(public, first.kept, 1, scaling)
            vectors = [one.tobytes() for made in (first, again, later) for one in (made.vector, *made.kept)]
            said.append((vectors, first.weight, trainer.tally(public, later.kept, scaling)))
            trainer.forget()
    assert said[0] == said[1]
    assert said[0][0][:2] == said[0][0][2:4], "asked again, it says the same"


@confined_only
def test_m7_a_module_with_other_tensors_than_its_manifest_says_is_refused(house: House) -> None:
    pytest.importorskip("torch")
    assert "other tensors" in fails(house, HONEST.replace("nn.Linear(4, 1, ", "nn.Linear(4, 2, "))


def test_m7_tensors_are_compared_by_name_shape_kind_and_order() -> None:
    torch = pytest.importorskip("torch")
    layout = authors.work().layout

    class Module(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, name: str = "output", width: int = 1, **more: object) -> None:
            super().__init__()
            setattr(self, name, torch.nn.Linear(4, width, **more))

    assert worker.has_tensors(Module(), layout)
    more = Module()
    more.register_parameter("more", torch.nn.Parameter(torch.zeros(1)))
    statistics = Module()
    statistics.register_buffer("mean", torch.zeros(1))
    counted = Module()
    counted.register_buffer("rows", torch.zeros(1, dtype=torch.int64))
    assert worker.has_tensors(counted, layout), "a counter is no part of a layout"
    others = [Module("result"), Module(width=2), Module(bias=False), Module(dtype=torch.float64), more, statistics]
    assert not [one for one in others if worker.has_tensors(one, layout)]


def test_a_bundle_that_is_withdrawn_between_two_rounds_ends_the_job(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined, work = authors.lying(house, f"write(frame([{GOOD}]))\nasked()\nsay({GOOD})", monkeypatch), authors.work()
    confined.update(work, HELD_OUT)
    house.bundles.withdraw(confined._called)
    with pytest.raises(Refused, match="has not approved"):
        confined.update(work, HELD_OUT)
    assert confined._worker is None


# ------------------------------------------------------------------------------------ X3: what the code can get hold of

ATTEMPTS = """\
import os, shutil, socket, subprocess, sys
from pathlib import Path

WHERE = {where}


def dials():
    with socket.create_connection(("127.0.0.1", WHERE["port"]), timeout=2):
        pass


def dials_a_unix_socket():
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(WHERE["unix"])


def reads_another_data_set():
    assert Path(WHERE["rows"]).read_bytes()


def reads_the_state_folder():
    assert os.listdir(WHERE["state"])


def reads_who_uses_this_machine():
    assert Path("/etc/passwd").read_bytes()


def sees_other_processes():
    assert [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def reads_the_environment_of_others():
    assert any(b"=" in Path("/proc", name, "environ").read_bytes() for name in (str(WHERE["pid"]), "1"))


def has_the_environment():
    assert "CANARY" in os.environ


def reads_the_arguments_of_others():
    assert Path("/proc", str(WHERE["pid"]), "cmdline").read_bytes()


def asks_about_another_process():
    os.sched_getaffinity(WHERE["pid"])


def signals_another_process():
    os.kill(WHERE["pid"], 0)


def writes_beside_the_rows():
    Path(WHERE["rows"] + ".copy").write_bytes(b"x")


def writes_into_the_software():
    for folder in sys.path[:1] + [os.path.dirname(os.__file__), "/usr/lib", "/", "/dev/shm", "/var/tmp", "/run"]:
        try:
            path = Path(folder, ".attempt-%d" % os.getpid())
            path.write_bytes(b"x")
            path.unlink()
            return
        except OSError:
            pass
    raise OSError


def starts_a_process():
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def forks():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def raises_its_limits():
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert most > 64


def makes_memory_that_nothing_counts():
    os.close(os.memfd_create("x"))


def has_more_than_its_pipes():
    import stat

    for found in range(3, 64):
        try:
            mode = os.fstat(found).st_mode
        except OSError:
            continue
        assert stat.S_ISFIFO(mode) or stat.S_ISCHR(mode), found
    open(WHERE["rows"]).close()


ATTEMPTS = [
    dials, dials_a_unix_socket, reads_another_data_set, reads_the_state_folder, reads_who_uses_this_machine,
    sees_other_processes, reads_the_environment_of_others, has_the_environment, reads_the_arguments_of_others,
    asks_about_another_process, signals_another_process, writes_beside_the_rows, writes_into_the_software,
    starts_a_process, forks, raises_its_limits, makes_memory_that_nothing_counts, has_more_than_its_pipes,
]


def done():
    for place, attempt in enumerate(ATTEMPTS):
        try:
            attempt()
        except BaseException:
            continue
        yield place


"""
COUNT = 18  # of them


@confined_only
def test_x3_x5_the_code_reaches_no_network_no_data_no_process_and_no_secret(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "1")
    rows = tmp_path / "other.csv"
    rows.write_text("who,ill\n1,1\n")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "unix"))
        unix.listen()
        where = {
            "port": server.getsockname()[1],
            "unix": str(tmp_path / "unix"),
            "rows": str(rows),
            "state": str(house.state),
            "pid": os.getpid(),
        }
        (house.state / "secret").write_text("x")
        source = ATTEMPTS.replace("{where}", repr(where))
        outside = subprocess.run(
            [sys.executable, "-c", source + "print(list(done()))"], capture_output=True, text=True, check=True
        )
        assert json.loads(outside.stdout) == list(range(COUNT)), "every attempt succeeds where nothing confines it"
        Path(f"{rows}.copy").unlink()
        told = "succeeded = sum(2.0 ** place for place in done())\n"
        first = "say((succeeded, 1.0, 0.0, 0.0, 0.0))\n"
        with running(house, SAYING + source + told + first) as confined:
            update = confined.update(authors.work(), HELD_OUT)
    reached = [place for place in range(COUNT) if int(update.vector[0]) >> place & 1]
    assert update.vector[1] == 1.0
    assert not reached, reached
    assert not Path(f"{rows}.copy").exists()


@confined_only
def test_x3_a_fork_bomb_makes_no_process(house: House) -> None:
    bomb = "import os\nfor _ in range(10_000):\n    try:\n        os.fork()\n    except OSError as fault:\n"
    bomb += "        last = fault\nraise last\n"
    before = len(list(Path("/proc").iterdir()))
    assert "raised an error" in fails(house, bomb)
    assert len(list(Path("/proc").iterdir())) < before + 100


THREADS = """\
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""
IGNORING = """\
import signal
for one in signal.valid_signals():
    try:
        signal.signal(one, signal.SIG_IGN)
    except OSError:
        pass
while True:
    pass
"""


@confined_only
@pytest.mark.parametrize(
    "source",
    [
        "kept = bytearray(1 << 40)\n",
        "kept = []\nwhile True:\n    kept.append(bytearray(b'x') * (1 << 26))\n",
        "import mmap\nkept = [mmap.mmap(-1, 1 << 26) for _ in range(1 << 20)]\n",
        THREADS,
        "place = 0\nwhile True:\n    place += 1\n    open(f'/tmp/{place}', 'wb').write(bytes(1 << 22))\n",
        "import os\nwhile True:\n    os.pipe()\n",
    ],
    ids=["at once", "bit by bit", "mapped", "threads", "files", "handles"],
)
def test_x3_code_that_eats_memory_ends_at_its_limit(source: str, house: House) -> None:
    started = time.monotonic()
    assert "raised an error" in fails(house, source, Limits(memory_bytes=1 << 30, wall_s=60))
    assert time.monotonic() - started < 60, "it ended by its memory and not by its time"


@confined_only
def test_x3_code_that_runs_for_ever_is_ended_with_everything_in_it(house: House) -> None:
    """It spins and ignores every signal that may be ignored; the process inside is gone too, not only bubblewrap."""
    mark = (4 << 30) + os.getpid()  # stands in the arguments of the process inside, and in no other's
    assert "did not answer within" in fails(house, IGNORING, Limits(wall_s=3, memory_bytes=mark))
    until = time.monotonic() + 10
    while left := processes(str(mark + 2 * rows_bytes())):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def processes(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def rows_bytes() -> int:
    both = (authors.work().rows, HELD_OUT)
    return sum(array.nbytes for rows in both for array in (rows.numbers, rows.codes, rows.target))


@confined_only
def test_x3_code_that_uses_up_its_processor_time_is_ended(house: House) -> None:
    started = time.monotonic()
    assert "ended before it answered" in fails(house, "while True:\n    pass\n", Limits(cpu_s=2, wall_s=90))
    assert time.monotonic() - started < 80, "it ended by its processor time and not by the clock"


# -------------------------------------------------------------------------------- X4: what the code answers, if it lies

GARBAGE = {
    "text": "write(b'hello, here is your update: 1, 2, 3, 4, 5')",
    "too much to read": "write(struct.pack('>4sBQ', b'FBW1', 0, 2 << 30))\nwhile True:\n    write(bytes(1 << 20))",
    "a pickle": "write(b'\\x80\\x04\\x95\\x1b' + bytes(200))",
    "a status that is none": "write(struct.pack('>4sBQ', b'FBW1', 9, 4) + bytes(4))",
    "too few vectors": "say()",
    "too many vectors": f"say(*[{GOOD}] * {MOST_KEPT + 2})",
    "a short vector": "say((0.0,) * 4)",
    "a long vector": "say((0.0,) * 6)",
    "half a number": "write(struct.pack('>4sBQIQ', b'FBW1', 0, 34, 1, 22) + bytes(22))",
    "a long vector to keep": f"say({GOOD}, (0.0,) * 6)",
    "what is kept is no number": f"say({GOOD}, (float('nan'),))",
    "lengths that do not add up": "write(struct.pack('>4sBQIQ', b'FBW1', 0, 32, 1, 21) + bytes(20))",
    "a length beyond everything": "write(struct.pack('>4sBQIQ', b'FBW1', 0, 32, 1, 2**64 - 1) + bytes(20))",
    "more than one answer": f"write(frame([{GOOD}]) * 9)",
    "an end": "os._exit(0)",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_x4_an_answer_that_is_none_ends_the_job_and_is_never_read_whole(
    name: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined, work = authors.lying(house, GARBAGE[name] + "\ntime.sleep(600)\n", monkeypatch), authors.work()
    tracemalloc.start()
    try:
        if name == "more than one answer":  # what nobody asked for is noticed at the next request
            confined.update(work, HELD_OUT)
            time.sleep(0.1)
        with pytest.raises(JobFailed) as fault:
            confined.update(work, HELD_OUT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert confined._worker is None, "who lied once is not asked again"
    assert peak < 8 << 20
    assert "hello" not in str(fault.value)
    assert "within" not in str(fault.value), "it was refused for what it said, not for the time it took"


def test_x4_a_pickle_in_the_place_of_numbers_runs_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = house.state.parent / "canary"
    lie = "import pickle, pathlib\nclass Lie:\n    def __reduce__(self):\n        return pathlib.Path.touch, "
    lie += f"(pathlib.Path({str(canary)!r}),)\nlie = pickle.dumps(Lie())\nlie += bytes(20 - len(lie) % 20)\n"
    lie += "write(struct.pack('>4sBQIQ', b'FBW1', 0, 12 + 20, 1, 20) + lie[:20])\ntime.sleep(600)\n"
    confined = authors.lying(house, lie, monkeypatch)
    with contextlib.suppress(JobFailed, Misuse):
        confined.update(authors.work(), HELD_OUT)  # twenty bytes of it are five numbers, and no more than that
    confined.close()
    assert not canary.exists()


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-float('inf')"])
def test_x4_an_update_that_is_not_finite_is_refused_by_the_name_of_its_tensor(
    value: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined = authors.lying(house, f"say((0.0, 0.0, 0.0, 0.0, {value}))", monkeypatch)
    with pytest.raises(Misuse, match=r"'output\.bias'"):
        confined.update(authors.work(), HELD_OUT)
    assert confined._worker is None


@pytest.mark.parametrize("lie", ["3e38, 3e38, -3e38, 0.0, 1.0", "1.0, 1.0, 1.0, 1.0, 1.0", "1e-30, 0, 0, 0, 0.4"])
def test_x4_the_weight_and_the_norm_of_an_update_are_not_the_codes_to_choose(
    lie: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined, work = authors.lying(house, f"say(({lie}))", monkeypatch, norm=0.5), authors.work()
    update = confined.update(work, HELD_OUT)
    confined.close()
    assert np.linalg.norm(update.vector.astype(np.float64)) <= 0.5
    assert update.weight == work.rows.size


TALLY = 4 + 2 * evaluation.BINS


@pytest.mark.parametrize(
    "numbers",
    [
        f"[19] + [0] * {TALLY - 1}",
        f"[20, -1] + [0] * {TALLY - 2}",
        f"[20, 1, 21, 0] + [0] * {TALLY - 4}",
        f"[20] + [0] * {TALLY - 1}",
        f"[20] * {TALLY - 1}",
        f"[20, 2**62] + [9] * {TALLY - 2}",
    ],
)
def test_x4_a_tally_that_these_rows_cannot_have_is_refused(
    numbers: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, confined = authors.work(), authors.lying(house, f"say({numbers}, kind='q')", monkeypatch)
    with pytest.raises(JobFailed, match="did not answer"):
        confined.tally(work.public.model, work.rows, HELD_OUT)


def test_a_tally_without_rows_asks_no_code(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    work, confined = authors.work(), authors.lying(house, "", monkeypatch)
    assert confined.tally(work.public.model, work.rows, authors.rows(0)) == (0,) * TALLY
    assert confined._worker is None


@pytest.mark.parametrize("lie", ["", "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"])
def test_x4_a_worker_that_says_nothing_is_ended_in_time(
    lie: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    confined = authors.lying(house, lie + "time.sleep(600)\n", monkeypatch, wall_s=1.0)
    with pytest.raises(JobFailed, match="within 1 s"):
        confined.update(authors.work(), HELD_OUT)


@confined_only
def test_x4_what_the_code_prints_goes_nowhere_and_what_it_writes_into_the_pipe_ends_the_job(house: House) -> None:
    source = SAYING + "import sys\nprint('garbage')\nsys.stderr.write('garbage')\nos.write(1, b'garbage')\n"
    with running(house, source + f"say({GOOD})\n") as confined:
        assert confined.update(authors.work(), HELD_OUT).vector.size == ENTRIES
    later = CONFIG.replace("version = 1", "version = 2")
    found = house.approved(SAYING + "write(b'garbage' * 9)\n", house.state.parent / "second", later)
    with pytest.raises(JobFailed, match="did not answer"):
        authors.confined(house, found).update(authors.work(), HELD_OUT)


@confined_only
def test_x4_code_whose_honest_descent_runs_away_sends_nothing(house: House) -> None:
    pytest.importorskip("torch")
    source = HONEST.replace(".float()), dim=1))", ".float()), dim=1)) * float('nan')")
    assert "not finite" in fails(house, source)


@given(st.binary(max_size=200), st.integers(0, 5))
def test_x4_any_bytes_are_vectors_that_lie_in_them_or_are_refused(body: bytes, most: int) -> None:
    try:
        found = frames.vectors_of(body, most=most, who="hk")
    except JobFailed:
        return
    assert len(found) <= most
    assert sum(map(len, found)) + 4 + 8 * len(found) == len(body)


def test_what_is_asked_of_a_worker_arrives_as_it_was_sent() -> None:
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.empty((2, 0), dtype=np.int64), np.ones(1, np.float32)]
    sent = b"".join(frames.request(frames.Kind.JOB, {"options": (("a", (1, 2)),), "of": {"b": 1.5}}, arrays))
    read = frames.read_request(io.BufferedReader(io.BytesIO(sent)))  # type: ignore[arg-type]
    assert read is not None
    kind, head, found = read
    assert (kind, head) == (frames.Kind.JOB, {"options": (("a", (1, 2)),), "of": (("b", 1.5),)})
    assert [(one.dtype, one.shape, one.tobytes()) for one in found] == [
        (one.dtype, one.shape, one.tobytes()) for one in arrays
    ]


def test_the_most_of_an_answer_is_what_the_longest_one_has() -> None:
    vectors = [np.zeros(5, np.float32), np.zeros(3, np.float32)]
    whole = b"".join(frames.answer(frames.Status.DONE, vectors))
    assert len(whole) - frames.ANSWER.size == frames.largest(20, 12)
    magic, status, length = frames.ANSWER.unpack_from(whole)
    assert (magic, status, length) == (b"FBW1", 0, len(whole) - frames.ANSWER.size)
    assert struct.calcsize(frames.ANSWER.format) == frames.ANSWER.size


@confined_only
def test_software_that_lies_in_tmp_is_seen_and_the_rest_of_tmp_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch folder was laid over it once, and every bundle was refused there."""
    ours, library = sandbox._ours(), Path(tempfile.mkdtemp(prefix="fed-library-", dir="/tmp"))
    try:
        (library / "said.py").write_text("import os\nprint(sorted(os.listdir('/tmp')))\n")
        monkeypatch.setattr(sandbox, "_ours", lambda: [*ours, library])
        run = [str(library / "said.py")]
        with sandbox._started(sandbox._bubblewrap(), Limits(), b"", run) as process:
            said = process.communicate(timeout=60)[0].decode()
    finally:
        shutil.rmtree(library)
    shown = {path.relative_to("/tmp").parts[0] for path in (*ours, library) if path.is_relative_to("/tmp")}
    assert said.strip() == repr(sorted(shown))
