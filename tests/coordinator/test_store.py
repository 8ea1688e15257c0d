"""One contract, two stores: whole appends in order, durable when acknowledged, one process at a time."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.coordinator.store import CEREMONY, Event, MemoryStore, SqliteStore, Store
from federation.errors import Unavailable

JOB, OTHER = b"j" * 32, b"o" * 32
THREE: list[Event] = [("job", b"first"), ("frame", b"second"), ("ended", b"\x00\xff")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore(path)
    yield opened
    opened.close()


# --- the contract of both --------------------------------------------------------------------------------------------


def test_events_come_back_in_the_order_in_which_they_were_appended(store: Store) -> None:
    store.append(JOB, THREE[:1])
    store.append(OTHER, [("job", b"another")])
    store.append(JOB, THREE[1:])
    assert store.events(JOB) == THREE
    assert store.events(OTHER) == [("job", b"another")]
    assert store.jobs() == [JOB, OTHER]


def test_what_is_not_there_is_nothing_and_no_error(store: Store) -> None:
    assert store.events(JOB) == []
    assert store.jobs() == []
    assert store.document(b"d" * 32) is None


def test_the_last_two_states_of_a_course_are_kept_newest_first(store: Store) -> None:
    assert store.kept(JOB) == []
    for turn in range(4):
        store.keep(JOB, (b"%d" % turn, memoryview(bytes(turn))))
        found = [(b"%d" % one, bytes(one)) for one in (turn, turn - 1) if one >= 0]
        assert store.kept(JOB) == found
    assert store.kept(OTHER) == []


def test_the_last_two_long_messages_of_each_party_are_kept_until_their_job_ends(store: Store) -> None:
    for turn in range(3):
        for party in ("macao", "macao-2"):
            store.keep_bulk(JOB, party, bytes([turn]) * 32, (party.encode(), bytes(1000), b"%d" % turn))
    for party in ("macao", "macao-2"):
        assert store.bulk(JOB, party, bytes(32)) is None
        for turn in (1, 2):
            found = store.bulk(JOB, party, bytes([turn]) * 32)
            assert tuple(found or ()) == (party.encode(), bytes(1000), b"%d" % turn)
    assert store.bulk(OTHER, "macao", bytes([2]) * 32) is None
    assert store.bulk(JOB, "hongkong", bytes([2]) * 32) is None
    store.drop_bulk(JOB, ("macao", "hongkong"))
    assert store.bulk(JOB, "macao", bytes([2]) * 32) is None
    assert store.bulk(JOB, "macao-2", bytes([2]) * 32) is not None


def test_a_torn_state_gives_way_to_the_one_before(path: Path) -> None:
    """A power cut may keep older pages of a file, in its middle or of what names it."""
    for place in (-60, 60):
        store = SqliteStore(path)
        for turn in range(2):
            store.keep(JOB, (b"%d" % turn, bytes(5000)))
        newest = max(path.parent.glob("course-*"), key=lambda file: file.read_bytes()[18:26])
        data = bytearray(newest.read_bytes())
        data[place] ^= 1
        newest.write_bytes(data)
        assert store.kept(JOB) == [(b"0", bytes(5000))]
        store.close()


def test_appending_nothing_makes_no_job(store: Store) -> None:
    store.append(JOB, [])
    assert store.jobs() == []
    assert store.events(JOB) == []


def test_jobs_are_in_the_order_of_their_first_event_whatever_their_names(store: Store) -> None:
    names = [bytes([byte]) * 32 for byte in (9, 3, 200, 0, 77)]
    for name in names:
        store.append(name, [("job", name)])
    for name in reversed(names):
        store.append(name, [("frame", b"later")])
    assert store.jobs() == names


def test_key_ceremonies_stand_beside_the_jobs_and_are_none_of_them(store: Store) -> None:
    store.append(JOB, THREE)
    store.append(OTHER, [(CEREMONY, b"signed"), ("join", b"signed too")])
    assert (store.jobs(), store.ceremonies()) == ([JOB], [OTHER])
    assert store.events(OTHER) == [(CEREMONY, b"signed"), ("join", b"signed too")]


def test_what_a_reader_does_with_its_list_does_not_reach_the_store(store: Store) -> None:
    store.append(JOB, THREE)
    store.events(JOB).clear()
    store.jobs().clear()
    assert (store.events(JOB), store.jobs()) == (THREE, [JOB])


def test_the_first_body_under_a_digest_stays(store: Store) -> None:
    store.put_document(b"d" * 32, b"first")
    store.put_document(b"d" * 32, b"second")
    assert store.document(b"d" * 32) == b"first"


ops = st.lists(
    st.tuples(
        st.sampled_from([JOB, OTHER, b"x" * 32]), st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)))
    ),
    max_size=12,
)


@given(appends=ops)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_stores_remember_alike_and_the_durable_one_after_every_reopening(
    tmp_path: Path, appends: list[tuple[bytes, list[Event]]]
) -> None:
    path = tmp_path / "alike.db"
    path.unlink(missing_ok=True)
    memory: Store = MemoryStore()
    for job, events in appends:
        memory.append(job, events)
        durable = SqliteStore(path)
        durable.append(job, events)
        durable.close()
    durable = SqliteStore(path)
    assert durable.jobs() == memory.jobs()
    assert {job: durable.events(job) for job in durable.jobs()} == {job: memory.events(job) for job in memory.jobs()}
    durable.close()


# --- a disk ----------------------------------------------------------------------------------------------------------


def filled(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.append(JOB, THREE)
    store.put_document(b"d" * 32, b"document")
    return store


def test_a_store_that_was_closed_opens_as_it_was(path: Path) -> None:
    filled(path).close()
    again = SqliteStore(path)
    assert (again.jobs(), again.events(JOB), again.document(b"d" * 32)) == ([JOB], THREE, b"document")
    again.append(JOB, [("frame", b"fourth")])
    assert again.events(JOB) == [*THREE, ("frame", b"fourth")]
    again.close()


def cramped(store: SqliteStore) -> None:
    """The disk has room for two more pages."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")


BIG: list[Event] = [("frame", b"small"), ("frame", bytes(100_000)), ("ended", b"")]


def test_a_full_disk_is_unavailable_and_nothing_of_the_append_is_there(path: Path) -> None:
    store = filled(path)
    cramped(store)
    with pytest.raises(Unavailable, match="full") as caught:
        store.append(JOB, BIG)
    assert "\n" not in str(caught.value)
    with pytest.raises(Unavailable, match="full"):
        store.put_document(b"e" * 32, bytes(100_000))
    assert store.events(JOB) == THREE
    assert store.document(b"e" * 32) is None
    store.append(JOB, [("frame", b"small enough")])
    store.close()
    again = SqliteStore(path)
    assert again.events(JOB) == [*THREE, ("frame", b"small enough")]
    again.close()


def one_by_one(self: SqliteStore, job_hash: bytes, events: list[Event]) -> None:
    """The planted fault: every event is its own transaction."""
    for kind, payload in events:
        position = len(self.events(job_hash))
        try:
            self._db.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (job_hash, position, kind, payload))
        except sqlite3.Error as fault:
            raise self._unavailable(fault, self._path) from None


def test_without_one_transaction_half_of_an_append_would_be_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled(path)
    cramped(store)
    monkeypatch.setattr(SqliteStore, "append", one_by_one)
    with pytest.raises(Unavailable):
        store.append(JOB, BIG)
    assert store.events(JOB) == [*THREE, BIG[0]]
    store.close()


REFUSED_BY_THE_SYSTEM = """
import resource, sys
from pathlib import Path
from federation.coordinator.store import SqliteStore
from federation.errors import Unavailable
store = SqliteStore(Path(sys.argv[1]))
store.append(b"j" * 32, [("job", b"first")])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for _ in range(2):
    try:
        store.append(b"j" * 32, [("frame", b"x"), ("frame", bytes(1_000_000))])
    except Unavailable as fault:
        print(type(fault).__name__)
print(len(store.events(b"j" * 32)))
"""


def test_a_system_that_refuses_to_write_is_unavailable_and_leaves_what_was_there(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED_BY_THE_SYSTEM, str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["Unavailable", "Unavailable", "1"]
    store = SqliteStore(path)
    assert store.events(JOB) == [("job", b"first")]
    store.close()


SECOND = """
import sys
from pathlib import Path
from federation.coordinator import store
from federation.errors import Unavailable
store.WAIT_S = 0.05
try:
    store.SqliteStore(Path(sys.argv[1]))
except Unavailable as fault:
    print(fault)
"""


@pytest.mark.parametrize("written", [True, False])
def test_a_second_process_is_refused_in_one_line_also_while_the_first_one_only_reads(path: Path, written: bool) -> None:
    filled(path).close()
    first = SqliteStore(path)
    if written:
        first.append(JOB, [("frame", b"more")])
    done = subprocess.run(
        [sys.executable, "-c", SECOND, str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.count("\n") == 1
    assert "is another coordinator running on it" in done.stdout
    first.close()
    SqliteStore(path).close()


def test_without_the_lock_from_the_start_a_second_coordinator_would_fold_the_same_store(path: Path) -> None:
    """The planted fault: a lock that is taken only with the first write, which is how SQLite means it."""
    filled(path).close()
    both = [sqlite3.connect(path, isolation_level=None) for _ in range(2)]
    for opened in both:
        opened.execute("PRAGMA journal_mode=WAL")
        opened.execute("PRAGMA locking_mode=EXCLUSIVE")
        opened.execute("CREATE TABLE IF NOT EXISTS event (job BLOB)")
    assert [opened.execute("SELECT COUNT(*) FROM event").fetchone() for opened in both] == [(3,), (3,)]
    for opened in both:
        opened.close()


@pytest.mark.parametrize("content", [b"not a database" * 400, b"SQLite format 3\x00" + bytes(5000)])
def test_a_file_that_is_no_store_is_refused_in_one_line(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(Unavailable) as caught:
        SqliteStore(path)
    assert "events.db" in str(caught.value)
    assert str(path.parent) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file stands here")
    with pytest.raises(Unavailable) as caught:
        SqliteStore(tmp_path / "state" / "events.db")
    assert "\n" not in str(caught.value)


def test_a_page_that_was_damaged_later_is_unavailable_and_no_crash(path: Path) -> None:
    store = SqliteStore(path)
    for index in range(50):
        store.append(JOB, [("frame", bytes([index]) * 3000)])
    store.close()
    damaged = bytearray(path.read_bytes())
    for page in range(3, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(damaged)
    with pytest.raises(Unavailable, match="malformed"):
        SqliteStore(path).events(JOB)


# --- torn writes -----------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from federation.coordinator.store import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
count = len(store.events(b"j" * 32)) // 3
while True:
    store.append(b"j" * 32, [("frame", b"%d/%d" % (count, i) + bytes(6_000)) for i in range(3)])
    print(count, flush=True)
    count += 1
"""


def whole_appends(events: list[Event]) -> int:
    """How many whole appends of three; fails for anything else."""
    assert len(events) % 3 == 0, "half an append"
    for place, (kind, payload) in enumerate(events):
        assert (kind, payload) == ("frame", b"%d/%d" % divmod(place, 3) + bytes(6_000))
    return len(events) // 3


def test_kill_9_in_the_middle_of_appends_leaves_whole_appends_and_all_that_were_acknowledged(path: Path) -> None:
    killed: Counter[str] = Counter()
    acknowledged = -1
    for lines in (1, 2, 3, 5, 8, 13):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(lines):
            acknowledged = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest, _ = writer.communicate(timeout=30)
        acknowledged = max([acknowledged, *map(int, rest.split())])
        store = SqliteStore(path)
        found = whole_appends(store.events(JOB))
        store.close()
        assert found >= acknowledged + 1, "an append that was acknowledged is lost"
        killed["in the middle" if found > acknowledged + 1 else "between"] += 1
    assert sum(killed.values()) == 6


def cut_anywhere(path: Path, folder: Path, append: Callable[[SqliteStore, int], None]) -> Counter[int]:
    """Write five appends of three, and open the store as it is when its journal ends at any place."""
    store = SqliteStore(path)
    for count in range(5):
        append(store, count)
    whole, journal = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    found: Counter[int] = Counter()
    for end in {*range(0, len(journal), 1531), len(journal) - 1, len(journal)}:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / path.name).write_bytes(whole)
        (folder / f"{path.name}-wal").write_bytes(journal[:end])
        torn = SqliteStore(folder / path.name)
        found[len(torn.events(JOB))] += 1
        whole_appends(torn.events(JOB))
        torn.close()
    store.close()
    return found


def three_of(count: int) -> list[Event]:
    return [("frame", b"%d/%d" % (count, i) + bytes(6_000)) for i in range(3)]


def test_a_journal_cut_at_any_place_opens_as_a_prefix_of_whole_appends(path: Path, tmp_path: Path) -> None:
    found = cut_anywhere(path, tmp_path / "torn", lambda store, count: store.append(JOB, three_of(count)))
    assert set(found) == {0, 3, 6, 9, 12, 15}, found


def test_without_one_transaction_a_cut_journal_would_hold_half_an_append(path: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="half an append"):
        cut_anywhere(path, tmp_path / "torn", lambda store, count: one_by_one(store, JOB, three_of(count)))
