"""Names, configurations, keys and addresses of a clumsy operator: each mistake ends in one line, one hint, its code.

Every case leaves the folder as it was: no socket, lock, store, log or temporary file, not even an empty folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.cli.stage import COORDINATOR, Stage
from federation.domain.catalogue import Column, Dataset, Kind
from federation.identity import control, keys
from federation.query.expression import Col, Compare, ordered
from federation.query.predicate import parse

sys.path.insert(0, str(Path(__file__).parent))
from operators import CANARY, GOOD, TABLES, Operator, Relay, unstarted, well_said


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return unstarted(tmp_path_factory.mktemp("bad") / "stage")


@pytest.fixture
def operator(stage: Stage, capfd: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    clumsy = Operator(stage, capfd)
    clumsy.writes(TABLES)
    clumsy.data(GOOD)
    yield clumsy
    (stage.folder / "people.csv").unlink(missing_ok=True)


# --- names and configurations ----------------------------------------------------------------------------------------

NAMES = {
    "parent": '"../people"',
    "nul": '"a\\u0000b"',
    "rtl": '"a\\u202eb"',
    "10_kB": '"' + "a" * 10_000 + '"',
    "empty": '""',
    "a_space_at_the_end": '"people "',
    "a_line_end": '"people\\n"',
    "folder": '"a/b"',
    "integer": "2025",
    "quoted_integer": '"2025"',
    "real": "1.5",
    "truth": "true",
    "date": "2025-01-01",
    "list": '["people"]',
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_that_is_none_is_refused_with_the_form_of_one(operator: Operator, name: str) -> None:
    operator.edits('"people"', name)
    hint = "a name begins with a letter" if name.startswith('"') else "write it in quotes; a name begins with a letter"
    operator.refused(2, "key 'dataset.0.name': this cannot be the name of a data set", hint=hint)


@pytest.mark.parametrize("name", ["2025", '"2025"', '"1.5"', '"-1"', '"1e3"'])
def test_a_column_that_is_called_like_a_number_is_refused(operator: Operator, name: str) -> None:
    operator.edits("columns.age", f"columns.{name}")
    operator.data(GOOD.replace("age", name.strip('"')))
    operator.refused(2, f"column {name.strip(chr(34))!r}: the name of a column is no number", hint="rename the column")


def test_without_that_a_year_in_a_predicate_would_silently_be_a_number() -> None:
    year = Dataset(name="d", title="", unit="row", columns=(Column(name="2025", kind=Kind.INTEGER, low=0, high=9),))
    assert isinstance(parse("2025 > 3", year), Compare)  # a column of at most 9, and every row is selected
    assert not any(isinstance(node, Col) for node in ordered((parse("2025 > 3", year),)))


def test_a_column_that_begins_with_digits_is_fine(operator: Operator) -> None:
    operator.edits("columns.age", "columns.2025-age")
    operator.data(GOOD.replace("age", "2025-age"))
    assert operator.checks() == 0, operator.said


COLUMN_NAMES = {
    "nul": '"a\\u0000b"',
    "rtl": '"a\\u202eb"',
    "10_kB": '"' + "a" * 10_000 + '"',
    "empty": '""',
    "escape": '"a\\u001b[2J"',
}


@pytest.mark.parametrize("name", COLUMN_NAMES.values(), ids=COLUMN_NAMES)
def test_a_column_name_that_nobody_could_read_is_refused(operator: Operator, name: str) -> None:
    operator.edits("columns.age", f"columns.{name}")
    operator.refused(2, "data set 'people'")


MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "unknown_table": ("[policy]", "[polcy]", "unknown key 'polcy'", "did you mean 'policy'?"),
    "unknown_key": ("purposes", "purpose", "unknown key 'policy.purpose'", "did you mean 'purposes'?"),
    "unknown_key_of_10_kB": ("k = 1", "k" * 10_000 + " = 1", "unknown key 'dataset.0.kkk", ""),
    "a_key_with_a_line_end": ("k = 1", '"k\\nhint: all is well" = 1', "unknown key", ""),
    "an_integer_for_a_text": ('"f", "m"', "1, 2", "columns.sex.categories.0", "quotes"),
    "a_text_for_an_integer": ("k = 1", 'k = "many"', "dataset.0.k", ""),
    "one_table_for_a_list": ("[[dataset]]", "[dataset]", "key 'dataset'", "[[dataset]]"),
    "no_source": ('source = "people.csv"\n', "", "key 'dataset.0.source' is missing", "init"),
    "unknown_kind": ('"real"', '"float"', "dataset.0.columns.pay.kind", ""),
    "unknown_engine": ("k = 1", 'k = 1\nengine = "duckbd"', "no member named 'duckbd'", "did you mean 'duckdb'?"),
    "a_path_for_an_engine": ("k = 1", 'k = 1\nengine = "../sql"', "no member named '../sql'", ""),
    "a_key_twice": ("k = 1", "k = 1\nk = 2", "is not TOML", ""),
    "lists_without_end": ("k = 1", "k = " + "[" * 5_000 + "]" * 5_000, "is not TOML", ""),
    "digits_without_end": ("k = 1", "k = 1" + "0" * 5_000, "is not TOML", ""),
    "a_bound_of_10_to_the_400": ("high = 120", "high = 1" + "0" * 400, "column 'age'", "range that is possible"),
    "a_real_bound_of_10_to_the_400": ("high = 1000", "high = 1" + "0" * 400, "column 'pay'", ""),
    "a_bound_without_end": ("high = 1000", "high = 1e400", "a bound is a finite number", ""),
    "a_title_that_turns": ("k = 1", 'k = 1\ntitle = "a\\u202eb"', "turns the direction", "U+202A"),
    "no_port": ('"127.0.0.1:1"', '"relay"', "'relay' is not an address", "host:port"),
    "an_url": ('"127.0.0.1:1"', '"https://relay:7443"', "is not an address", "host:port"),
    "a_port_too_far": ('"127.0.0.1:1"', '"relay:99999"', "is not an address", "host:port"),
    "an_integer_for_an_address": ('"127.0.0.1:1"', "7443", "'jurisdiction.coordinator'", "quotes"),
    "no_roster": ('"roster.json"', '"rooster.json"', "rooster.json cannot be read", "check the name"),
    "a_folder_for_the_roster": ('"roster.json"', '"keys"', "cannot be read: Is a directory", ""),
    "data_for_the_roster": ('"roster.json"', '"people.csv"', "it is not a JSON document", ""),
    "another_role": ("keys/guangdong", "keys/coordinator", "is a coordinator, not a jurisdiction", ""),
}


@pytest.mark.parametrize(("was", "wrote", "said", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_configuration_is_told_with_its_key(
    operator: Operator, was: str, wrote: str, said: str, hint: str
) -> None:
    operator.edits(was, wrote)
    operator.refused(2, said, hint=hint)


def test_a_file_that_is_no_configuration_is_told(operator: Operator) -> None:
    for path, said in (
        ("/dev/zero", "has more than"),
        (str(operator.folder), "Is a directory"),
        ("no.toml", "No such"),
    ):
        assert operator.runs("jurisdiction", "check", path) == 2
        well_said(operator.said, said)
    operator.file.write_bytes(operator.file.read_text().replace('"people"', '"人口"').encode("gbk"))
    operator.refused(2, "line 12 is not UTF-8", hint="iconv -f GBK")
    for path in (str(operator.folder / "no" / "x.toml"), str(operator.folder), "x" * 300):
        assert operator.runs("jurisdiction", "init", path) == 2
        well_said(operator.said)


def test_the_envelope_of_a_program_says_the_same(operator: Operator) -> None:
    operator.data(GOOD.replace("1,", f"x{CANARY},"))
    assert operator.runs("jurisdiction", "check", str(operator.file), "-o", "json") == 2
    envelope = json.loads(operator.said[: operator.said.rindex("}") + 1])
    assert (envelope["status"], envelope["exit_code"], envelope["error"]["code"]) == ("error", 2, "misuse")
    assert envelope["error"]["hint"]
    assert CANARY not in operator.said


# --- keys ------------------------------------------------------------------------------------------------------------


def _open(path: Path) -> Callable[[], None]:
    path.chmod(path.stat().st_mode | 0o044)
    return lambda: path.chmod(path.stat().st_mode & 0o700)


def _replaced(path: Path, made: Callable[[Path], object]) -> Callable[[], None]:
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    made(path)

    def mended() -> None:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        aside.rename(path)

    return mended


KEYS: dict[str, tuple[str, Callable[[Path], Callable[[], None]], str, str]] = {
    "open_folder": (".", _open, "can be read or written by other users (mode 0744)", "chmod 700"),
    "open_identity": (keys.IDENTITY, _open, "can be read or written by other users", "chmod 600"),
    "open_storage": (keys.STORAGE, _open, "can be read or written by other users", "chmod 600"),
    "no_tls": (keys.TLS, lambda p: _replaced(p, lambda _: None), "cannot be opened: No such file", "roster join"),
    "a_link": (keys.TLS, lambda p: _replaced(p, lambda q: q.symlink_to(f"{q}.aside")), "is a symbolic link", ""),
    "a_folder": (keys.TLS, lambda p: _replaced(p, lambda q: q.mkdir(0o700)), "is not a regular file", "backup"),
    "a_pipe": (keys.TLS, lambda p: _replaced(p, lambda q: os.mkfifo(q, 0o600)), "is not a regular file", "backup"),
    "no_key": (keys.IDENTITY, lambda p: _replaced(p, lambda q: _private(q, b"?")), "is not a key in PKCS #8", "backup"),
    "no_card": (keys.CARD, lambda p: _replaced(p, lambda q: _private(q, b"{")), "not a JSON document", "backup"),
}


def _private(path: Path, content: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "spoil", "said", "hint"), KEYS.values(), ids=KEYS)
def test_keys_that_others_could_read_or_put_there_are_refused(
    operator: Operator, name: str, spoil: Callable[[Path], Callable[[], None]], said: str, hint: str
) -> None:
    mended = spoil(operator.folder / "keys" / "guangdong" / name)
    try:
        operator.refused(3, said, hint=hint)
    finally:
        mended()
    assert operator.checks() == 0, operator.said


# --- starting --------------------------------------------------------------------------------------------------------


@pytest.fixture
def relay(operator: Operator) -> Relay:
    operator.stage._write_coordinator("127.0.0.1:0")
    return Relay(operator)


def test_a_port_in_use_is_told_and_no_store_is_left(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        relay.edits("127.0.0.1:0", taken)
        relay.refused(4, f"cannot listen on {taken}", hint="is another program on this port")
    assert not (relay.folder / "state").exists()


@pytest.mark.parametrize("listen", ["relay", "127.0.0.1:99999", "127.0.0.1:-1", "", ":7443", "https://relay:7443"])
def test_an_address_that_is_none_is_not_blamed_on_another_program(relay: Relay, listen: str) -> None:
    relay.edits("127.0.0.1:0", listen)
    relay.refused(2, "cannot listen on", hint="host:port")


def test_an_address_of_another_machine_is_told(relay: Relay) -> None:
    relay.edits("127.0.0.1:0", "192.0.2.1:7443")
    relay.refused(4, "cannot listen on 192.0.2.1:7443", hint="is the host this machine's?")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[cordinator]\n", "unknown table 'cordinator'", "did you mean 'coordinator'?"),
        ('[coordinator]\nlisten_on = "x"\n', "unknown key 'listen_on'", "did you mean 'listen'?"),
        ("coordinator = 5\n", "key 'coordinator'", ""),
        ("", "key 'keys'", "--help"),
        ("[coordinator\n", "is not TOML", "correct the file"),
    ],
    ids=["table", "key", "no_table", "nothing", "no_toml"],
)
def test_a_mistake_in_the_coordinators_file_is_told(relay: Relay, text: str, said: str, hint: str) -> None:
    relay.file.write_text(text)
    relay.refused(2, said, hint=hint)


def test_a_state_folder_that_is_none_is_told_by_every_daemon(operator: Operator, relay: Relay) -> None:
    for place in ("people.csv", "people.csv/state"):
        operator.writes(TABLES)
        operator.edits("state/guangdong", place)
        assert operator.checks() == 0
        assert operator.starts() == 2
        well_said(operator.said, "is not a folder", hint="`state`")
        assert operator.runs("jurisdiction", "start", "--detach", str(operator.file)) == 2
        well_said(operator.said, "is not a folder")
        for verb in ("status", "stop"):
            assert operator.runs("jurisdiction", verb, str(operator.file)) == 5
            well_said(operator.said, "no daemon runs")
    relay.edits(f"state/{COORDINATOR}", "people.csv")
    relay.refused(2, "is not a folder")


def test_what_is_no_control_socket_is_not_removed(relay: Relay) -> None:
    state = relay.folder / "state" / COORDINATOR
    state.mkdir(parents=True)
    precious = state / control.SOCKET
    precious.write_text("precious")
    try:
        relay.refused(2, "is not a control socket", hint="move it away")
        assert precious.read_text() == "precious"
    finally:
        precious.unlink()
        state.rmdir()
        state.parent.rmdir()


def test_a_wire_log_that_cannot_be_written_leaves_no_memory_behind(operator: Operator) -> None:
    operator.edits("[policy]", 'wire_log = "people.csv/wire.log"\n[policy]')
    assert operator.starts() == 4
    well_said(operator.said, "cannot write the wire log", hint="wire_log")
    assert not (operator.folder / "state").exists()


def test_a_store_that_is_none_is_told_and_stays_as_it_is(relay: Relay) -> None:
    state = relay.folder / "state" / COORDINATOR
    state.mkdir(parents=True)
    (state / "events.db").write_bytes(b"not a database" * 1_000)
    try:
        relay.refused(4, "the coordinator's store events.db cannot be used", hint="another coordinator")
    finally:
        (state / "events.db").unlink()
        state.rmdir()
        state.parent.rmdir()
