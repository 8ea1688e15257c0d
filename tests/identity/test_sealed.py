"""Sealed storage: what was acknowledged is there and unchanged, or opening fails; the file says nothing."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from federation.errors import Misuse, Refused, Unavailable
from federation.identity import long_file, seal, sealed
from federation.identity.sealed import SealedLog

KEY = bytes(range(32))
JOB = b"job \x00\xff one"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def log(folder: Path) -> Iterator[SealedLog]:
    with SealedLog(folder, KEY) as opened:
        yield opened


def filled(folder: Path) -> None:
    with SealedLog(folder, KEY) as log:
        log.append_many(JOB, [("begun", b"first"), ("sent", b"second"), ("done", b"third")])
        log.append(b"other job", "begun", b"first")
        log.put(b"query 1", b"opened over a, b, c")
        log.put(b"query 2", b"opened over a, b")


def changed(folder: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(folder / "sealed.db", isolation_level=None)) as db:
        assert db.execute(statement, values).rowcount > 0


def test_events_come_back_in_order_after_a_restart(folder: Path) -> None:
    filled(folder)
    with SealedLog(folder, KEY) as log:
        assert log.read(JOB) == [("begun", b"first"), ("sent", b"second"), ("done", b"third")]
        assert log.streams() == [JOB, b"other job"]
        assert log.read(b"unknown") == []
        assert log.append(JOB, "late", b"") == 3


def test_a_value_is_replaced_by_put_and_kept_by_put_new(log: SealedLog) -> None:
    assert log.get(b"q") is None
    assert log.put_new(b"q", b"first")
    assert not log.put_new(b"q", b"second")
    assert log.get(b"q") == b"first"
    log.put(b"q", b"third")
    assert log.get(b"q") == b"third"


def test_neither_names_nor_kinds_nor_contents_can_be_read_from_the_files(folder: Path) -> None:
    words = [b"guangdong-stream", b"entropy-kind", b"payload-of-rows", b"query-key", b"opened-value"]
    with SealedLog(folder, KEY) as log:
        log.append(words[0], words[1].decode(), words[2])
        log.put(words[3], words[4])
        files = [path.read_bytes() for path in folder.iterdir()]
    files += [path.read_bytes() for path in folder.iterdir()]
    assert len(files) >= 4
    assert not [word for word in words for content in files if word in content]
    assert not [content for content in files if KEY in content]


def test_the_words_would_be_found_if_they_were_not_sealed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal.Seal, "sealed", lambda _self, _place, content: content)  # the planted fault
    monkeypatch.setattr(seal.Seal, "opened", lambda _self, _place, record: record)
    with SealedLog(folder, KEY) as log:
        log.append(b"stream", "kind", b"payload-of-rows")
    assert b"payload-of-rows" in (folder / "sealed.db").read_bytes()


def test_files_are_for_the_owner_only(folder: Path, log: SealedLog) -> None:
    log.append(JOB, "k", b"v")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()} == {
        "sealed.db": 0,
        "sealed.db-shm": 0,
        "sealed.db-wal": 0,
        "sealed.lock": 0,
    }


TAMPERING = {
    "an event changed": ("UPDATE event SET sealed = zeroblob(40) WHERE sequence = 1", ()),
    "an event cut": ("UPDATE event SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE sequence = 1", ()),
    "an event emptied": ("UPDATE event SET sealed = x'' WHERE sequence = 1", ()),
    "the first event removed": ("DELETE FROM event WHERE sequence = 0", ()),
    "the last event removed": ("DELETE FROM event WHERE sequence = 2", ()),
    "two events exchanged": (
        "UPDATE event SET sequence = CASE sequence WHEN 0 THEN 9 ELSE 8 END WHERE sequence < 2",
        (),
    ),
    "all events removed": ("DELETE FROM event", ()),
    "a stream's name removed": ("DELETE FROM stream WHERE rowid = 1", ()),
    "a value removed": ("DELETE FROM value WHERE rowid = 1", ()),
    "values exchanged": ("UPDATE value SET sealed = (SELECT sealed FROM value v WHERE v.id <> value.id)", ()),
    "an event added": ("INSERT INTO event SELECT id, 77, sealed FROM event LIMIT 1", ()),
    "the state removed": ("DELETE FROM state", ()),
    "the state changed": ("UPDATE state SET sealed = zeroblob(60)", ()),
    "a negative place": ("UPDATE event SET sequence = -1 WHERE sequence = 2", ()),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_a_changed_file_is_refused_when_it_is_opened(folder: Path, name: str) -> None:
    filled(folder)
    changed(folder, TAMPERING[name][0])
    with pytest.raises(Refused) as caught:
        SealedLog(folder, KEY)
    assert caught.value.rule == "sealed storage"
    with pytest.raises(Refused):  # the folder was released, and the answer stays
        SealedLog(folder, KEY)


@pytest.mark.parametrize("name", ["the last event removed", "a value removed", "all events removed"])
def test_without_the_set_hash_a_removed_record_would_go_unnoticed(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal.Seal, "weight", lambda _self, _place, _record: 0)  # the planted fault
    filled(folder)
    changed(folder, TAMPERING[name][0])
    SealedLog(folder, KEY).close()


def test_an_event_of_another_place_does_not_open_even_without_the_set_hash(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal.Seal, "weight", lambda _self, _place, _record: 0)
    filled(folder)
    changed(folder, "UPDATE event SET sealed = (SELECT sealed FROM event e WHERE e.sequence = 2) WHERE sequence = 0")
    with SealedLog(folder, KEY) as log, pytest.raises(Refused, match="changed, moved"):
        log.read(JOB)


def test_an_event_that_vanishes_while_open_leaves_a_gap_that_is_refused(folder: Path, log: SealedLog) -> None:
    log.append_many(JOB, [("a", b""), ("b", b""), ("c", b"")])
    changed(folder, "DELETE FROM event WHERE sequence = 1")
    with pytest.raises(Refused, match="missing"):
        log.read(JOB)


def test_a_record_put_back_from_an_earlier_time_is_refused(folder: Path) -> None:
    filled(folder)
    with contextlib.closing(sqlite3.connect(folder / "sealed.db")) as db:
        old = db.execute("SELECT id, sealed FROM value WHERE rowid = 1").fetchone()
    with SealedLog(folder, KEY) as log:
        log.put(b"query 1", b"opened again")
    changed(folder, "UPDATE value SET sealed = ? WHERE id = ?", old[1], old[0])
    with pytest.raises(Refused):
        SealedLog(folder, KEY)


def test_another_storage_key_is_refused(folder: Path) -> None:
    filled(folder)
    with pytest.raises(Refused, match="storage key"):
        SealedLog(folder, bytes(32))


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look like one" * 100, b"SQLite format 3\x00" * 300]
)
def test_a_file_that_is_no_database_is_refused(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "sealed.db").write_bytes(content)
    with pytest.raises(Refused):
        SealedLog(folder, KEY)


def test_every_flipped_byte_of_the_file_is_refused_or_harmless(folder: Path, tmp_path: Path) -> None:
    with SealedLog(folder, KEY) as log:
        log.append_many(JOB, [("begun", b"first"), ("sent", b"second")])
        log.put(b"query 1", b"opened")
    content = (folder / "sealed.db").read_bytes()
    copy = tmp_path / "copy"
    refused = 0
    step = 13  # prime to the page size: all fields of the pages are met
    for position in range(0, len(content), step):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        (copy / "sealed.db").write_bytes(
            content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]
        )
        try:
            with SealedLog(copy, KEY) as log:
                assert log.read(JOB) == [("begun", b"first"), ("sent", b"second")]
                assert log.get(b"query 1") == b"opened"
        except Refused:
            refused += 1
        except Unavailable:  # a header that SQLite itself will not open
            refused += 1
    assert refused > 20


def test_a_journal_cut_at_any_byte_opens_as_a_prefix_of_whole_transactions(folder: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    with SealedLog(folder, KEY) as log:
        for index in range(4):
            log.append_many(JOB, [(f"a{index}", b"x"), (f"b{index}", b"y")])
        shutil.copy(folder / "sealed.db", copies / "db")
        journal = (folder / "sealed.db-wal").read_bytes()
    lengths = set()
    for cut in [*range(0, len(journal), 409), len(journal)]:
        copy = copies / str(cut)
        copy.mkdir()
        shutil.copy(copies / "db", copy / "sealed.db")
        (copy / "sealed.db-wal").write_bytes(journal[:cut])
        with SealedLog(copy, KEY) as log:
            kinds = [kind for kind, _ in log.read(JOB)]
            assert kinds == [f"{letter}{index}" for index in range(4) for letter in "ab"][: len(kinds)]
            lengths.add(len(kinds))
            assert log.append(JOB, "goes on", b"") == len(kinds)
    assert lengths == {0, 2, 4, 6, 8}


def test_an_error_undoes_the_whole_transaction(log: SealedLog) -> None:
    log.append(JOB, "before", b"")
    with pytest.raises(ZeroDivisionError), log.together():  # noqa: PT012
        log.append(JOB, "during", b"")
        log.put(b"q", b"v")
        raise ZeroDivisionError
    with pytest.raises(Misuse, match="kind"):
        log.append_many(JOB, [("fine", b""), ("", b"")])
    assert log.read(JOB) == [("before", b"")]
    assert log.get(b"q") is None
    assert log.append(JOB, "after", b"") == 1


def test_a_swallowed_error_still_undoes_the_whole_transaction(log: SealedLog) -> None:
    with pytest.raises(Misuse, match="swallowed"), log.together():  # noqa: PT012
        log.put(b"q", b"v")
        with contextlib.suppress(Misuse):
            log.append(JOB, "", b"")
    assert log.get(b"q") is None
    log.put(b"q", b"w")
    assert log.get(b"q") == b"w"


def test_together_commits_events_and_values_at_once(folder: Path) -> None:
    with SealedLog(folder, KEY) as log, log.together():
        assert log.put_new(b"q", b"v")
        assert log.append(JOB, "a", b"") == 0
        assert log.append(JOB, "b", b"") == 1
    with SealedLog(folder, KEY) as log:
        assert (log.get(b"q"), len(log.read(JOB))) == (b"v", 2)


def test_an_erased_stream_is_gone_from_name_list_and_files(folder: Path) -> None:
    with SealedLog(folder, KEY) as log:
        log.append(JOB, "entropy", b"secret" * 40)
        log.append(b"kept", "k", b"v")
        with contextlib.closing(sqlite3.connect(folder / "sealed.db")) as db:
            record = db.execute("SELECT sealed FROM event ORDER BY rowid").fetchone()[0]
        assert any(record in path.read_bytes() for path in folder.iterdir())
        log.erase(JOB)
        assert not any(record in path.read_bytes() for path in folder.iterdir())
        assert (log.streams(), log.read(JOB)) == ([b"kept"], [])
        log.erase(JOB)
        assert log.append(JOB, "again", b"") == 0
    with SealedLog(folder, KEY) as log:
        assert log.read(JOB) == [("again", b"")]


def test_a_full_disk_is_unavailable_and_leaves_what_was_there(folder: Path, log: SealedLog) -> None:
    log.append(JOB, "before", b"")
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match="full"):
        log.append_many(JOB, [("small", b""), ("big", bytes(100_000))])
    assert log.read(JOB) == [("before", b"")]
    log._db.execute("PRAGMA max_page_count = 100000")
    assert log.append(JOB, "after", b"") == 1
    log.close()
    with SealedLog(folder, KEY) as again:
        assert [kind for kind, _ in again.read(JOB)] == ["before", "after"]


def test_a_full_disk_swallowed_inside_a_transaction_does_not_let_later_writes_stand_alone(log: SealedLog) -> None:
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(Misuse, match="swallowed"), log.together():  # noqa: PT012
        with contextlib.suppress(Unavailable):
            log.append(JOB, "big", bytes(100_000))
        log.put(b"alone", b"")
    assert log.get(b"alone") is None


def test_a_system_that_refuses_to_write_is_unavailable_until_a_restart(folder: Path) -> None:
    script = f"""
import resource, signal
from pathlib import Path
from federation.errors import Unavailable
from federation.identity.sealed import SealedLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = SealedLog(Path({str(folder)!r}), bytes(range(32)))
log.append(b"job", "before", b"")
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
for attempt in range(2):
    try:
        log.append(b"job", "big", bytes(300_000))
    except Unavailable as error:
        print("unavailable")
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["unavailable", "unavailable"]
    with SealedLog(folder, KEY) as log:
        assert log.read(b"job") == [("before", b"")]


def test_a_second_process_on_one_state_folder_is_refused_in_one_line(folder: Path, log: SealedLog) -> None:
    script = f"""
from pathlib import Path
from federation.errors import Refused
from federation.identity.sealed import SealedLog
try:
    SealedLog(Path({str(folder)!r}), bytes(32))
except Refused as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.count("\n") == 1
    assert "in use by process" in done.stdout
    log.append(JOB, "undisturbed", b"")


def test_a_killed_process_leaves_no_lock_and_every_acknowledged_event(folder: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from federation.identity.sealed import SealedLog
log = SealedLog(Path({str(folder)!r}), bytes(range(32)))
index = 0
while True:
    log.append(b"job", "n", str(index).encode())
    print(index, flush=True)
    index += 1
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [next(process.stdout) for _ in range(10)][-1]
        process.kill()
        rest = process.stdout.read().split()
    last = int(rest[-1] if rest else acknowledged)
    with SealedLog(folder, KEY) as log:
        found = [int(payload) for _, payload in log.read(b"job")]
    assert found == list(range(len(found)))
    assert len(found) in (last + 1, last + 2)  # one may be stored and not yet acknowledged


def test_several_threads_take_turns(log: SealedLog) -> None:
    def work(name: bytes) -> None:
        for index in range(20):
            with log.together():
                assert log.append(name, "a", b"") == 2 * index
                assert log.append(name, "b", b"") == 2 * index + 1

    threads = [threading.Thread(target=work, args=(bytes([i]),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(log.read(bytes([i]))) for i in range(4)] == [40] * 4


def test_a_closed_log_says_so(folder: Path) -> None:
    log = SealedLog(folder, KEY)
    log.close()
    log.close()
    for call in (lambda: log.read(JOB), lambda: log.append(JOB, "k", b""), lambda: log.get(b"q"), log.streams):
        with pytest.raises(Misuse, match="closed"):
            call()


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "many", "erase", "put", "put_new", "restart", "undone"]),
        st.sampled_from([b"", b"a", b"b"]),
        st.binary(max_size=20),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_any_sequence_of_operations_is_remembered_like_a_dictionary(tmp_path: Path, operations: list) -> None:  # type: ignore[type-arg]
    folder = tmp_path / "model"
    shutil.rmtree(folder, ignore_errors=True)
    streams: dict[bytes, list[tuple[str, bytes]]] = {}
    values: dict[bytes, bytes] = {}
    log = SealedLog(folder, KEY)
    for operation, name, content in operations:
        match operation:
            case "append":
                assert log.append(name, "k", content) == len(streams.setdefault(name, []))
                streams[name].append(("k", content))
            case "many":
                log.append_many(name, [("x", content), ("y", b"")])
                streams.setdefault(name, []).extend([("x", content), ("y", b"")])
            case "erase":
                log.erase(name)
                streams.pop(name, None)
            case "put":
                log.put(name, content)
                values[name] = content
            case "put_new":
                assert log.put_new(name, content) is (name not in values)
                values.setdefault(name, content)
            case "undone":
                with contextlib.suppress(KeyError), log.together():
                    log.put(name, content)
                    log.erase(name)
                    raise KeyError
            case "restart":
                log.close()
                log = SealedLog(folder, KEY)
    log.close()
    with SealedLog(folder, KEY) as log:
        assert log.streams() == list(streams)
        assert {name: log.read(name) for name in streams} == streams
        assert {name: log.get(name) for name in (b"", b"a", b"b")} == {n: values.get(n) for n in (b"", b"a", b"b")}


# --- long records ----------------------------------------------------------------------------------------------------


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "PIECE_BYTES", 100)


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("sizes", [(), (0,), (1, 0, 99), (100,), (101, 100, 200, 7)])
def test_long_records_come_back_in_their_parts(folder: Path, sizes: tuple[int, ...]) -> None:
    parts = tuple(bytes([index]) * size for index, size in enumerate(sizes))
    with SealedLog(folder, KEY) as log:
        assert log.kept(b"course") is None
        for _ in range(3):
            log.keep(b"course", parts)
            assert log.kept(b"course") == parts
        assert log.kept(b"another") is None
    with SealedLog(folder, KEY) as log:
        assert log.kept(b"course") == parts
        log.discard(b"course")
        assert log.kept(b"course") is None


@pytest.mark.usefixtures("short_pieces")
def test_pieces_of_two_writes_do_not_fit_together(folder: Path) -> None:
    """Whoever may write to the disk cannot put an earlier half of a model to a later one, nor swap or drop pieces."""
    with SealedLog(folder, KEY) as log:
        log.keep(b"course", (b"a" * 250,))
        (path,) = folder.glob("long-*")
        (earlier,) = long_file.read_each(path)
        log.keep(b"course", (b"b" * 250,))
        later, _ = long_file.read_each(path)
        assert len(later) == 1 + 3
        forged = {
            "an earlier piece": (*later[:2], earlier[2], later[3]),
            "an earlier head": (earlier[0], *later[1:]),
            "swapped": (later[0], later[2], later[1], later[3]),
            "one less": later[:-1],
            "one more": (*later, later[-1]),
            "no head": later[1:],
        }
        for what, records in forged.items():
            for _ in range(2):
                long_file.write(path, records)
            with pytest.raises(Refused) as caught:
                log.kept(b"course")
            assert caught.value.rule == "sealed storage", what
        long_file.write(path, later)
        assert log.kept(b"course") == (b"b" * 250,)


@pytest.mark.usefixtures("short_pieces")
def test_a_torn_long_record_gives_way_to_the_one_before(folder: Path) -> None:
    """A power cut may keep older pages of a file; the planted fault takes them for the newest."""
    with SealedLog(folder, KEY) as log:
        for turn in (b"a", b"b"):
            log.keep(b"course", (turn * 250,))
        newest = max(folder.glob("long-*"), key=long_file._number)
        data = bytearray(newest.read_bytes())
        data[-100] ^= 1
        newest.write_bytes(data)
        assert log.kept(b"course") == (b"a" * 250,)
        for file in folder.glob("long-*"):
            torn = bytearray(file.read_bytes())
            torn[200] ^= 2
            file.write_bytes(torn)
        with pytest.raises(Refused):
            log.kept(b"course")


def test_a_long_record_cannot_be_read_from_its_file(folder: Path) -> None:
    with SealedLog(folder, KEY) as log:
        log.keep(b"course", (b"nobody reads this" * 50,))
        (path,) = folder.glob("long-*")
        assert b"nobody" not in path.read_bytes()
