"""The coordinator's one TOML file: what it means, and that a mistake is told in one line with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.coordinator.config import load
from federation.errors import Misuse

GOOD = """
[coordinator]
listen = "0.0.0.0:7443"
keys = "keys"
roster = "shared/roster.json"
state = "state"
wire_log = "wire.log"
log = "debug"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "coordinator.toml"
    path.write_text(text)
    return path


def test_paths_start_at_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    found = load(written(tmp_path, GOOD.replace('"keys"', '"/etc/keys"')))
    assert (found.listen, found.log, found.keys) == ("0.0.0.0:7443", "debug", Path("/etc/keys"))
    assert (found.roster, found.state, found.wire_log) == (
        tmp_path / "shared" / "roster.json",
        tmp_path / "state",
        tmp_path / "wire.log",
    )


def test_what_is_left_out_listens_at_home_and_logs_no_wire(tmp_path: Path) -> None:
    found = load(written(tmp_path, '[coordinator]\nkeys = "k"\nroster = "r"\nstate = "s"\n'))
    assert (found.listen, found.wire_log, found.log) == ("127.0.0.1:7443", None, "info")


@pytest.mark.parametrize(
    ("was", "wrote", "said", "hint"),
    [
        ("[coordinator]", "[cordinator]", "unknown table 'cordinator'", "'coordinator'"),
        ('keys = "keys"', 'key = "keys"', "unknown key 'key'", "'keys'"),
        ('state = "state"\n', "", "'state'", ""),
        ('listen = "0.0.0.0:7443"', "listen = 7443", "'listen'", ""),
        ('log = "debug"', 'log = "loud"', "'log'", ""),
        ("[coordinator]", "[coordinator", "is not TOML", ""),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_key(tmp_path: Path, was: str, wrote: str, said: str, hint: str) -> None:
    with pytest.raises(Misuse) as caught:
        load(written(tmp_path, GOOD.replace(was, wrote)))
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_no_file_and_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="cannot read"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misuse, match="is not TOML"):
        load(tmp_path / "binary.toml")
