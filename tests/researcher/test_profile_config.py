"""Profiles name a coordinator, keys and a roster; nothing is guessed where two could be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.researcher.profile_config import Profile, home, profile
from clients.researcher.session import connect
from federation.errors import Misuse, Refused

BAY = '[bay]\ncoordinator = "relay.example:7443"\nkeys = "keys/alice"\nroster = "bay.json"\n'
LAKE = '[lake]\ncoordinator = "lake.example:7443"\nkeys = "/keys/bob"\nroster = "~/lake.json"\n'


def written(folder: Path, text: str) -> Path:
    (folder / "profiles.toml").write_text(text, "utf-8")
    return folder


def test_the_only_profile_needs_no_name_and_its_paths_start_at_its_file(tmp_path: Path) -> None:
    assert profile(folder=written(tmp_path, BAY)) == Profile(
        name="bay", coordinator="relay.example:7443", keys=tmp_path / "keys/alice", roster=tmp_path / "bay.json"
    )


def test_paths_may_be_whole_and_may_start_at_home(tmp_path: Path) -> None:
    found = profile("lake", folder=written(tmp_path, BAY + LAKE))
    assert found.keys == Path("/keys/bob")
    assert found.roster == Path("~/lake.json").expanduser()


def test_the_default_is_named_in_the_file(tmp_path: Path) -> None:
    assert profile(folder=written(tmp_path, 'default = "lake"\n' + BAY + LAKE)).name == "lake"
    assert profile("bay", folder=tmp_path).name == "bay"


@pytest.mark.parametrize(
    ("text", "name", "said", "hint"),
    [
        (BAY + LAKE, "", "2 profiles and no default", "bay, lake"),
        (BAY, "bey", "no profile 'bey'", "did you mean 'bay'?"),
        ("", "", "has no profile", "coordinator = "),
        (BAY + 'coordinater = "x"', "", "unknown key 'coordinater'", "did you mean 'coordinator'?"),
        ('[bay]\nkeys = "k"\nroster = "r"', "", "lacks the key 'coordinator'", "known"),
        ("default = 3\n" + BAY, "", "'default' of profiles.toml is the name", ""),
        ('bay = "x"', "", "profile 'bay'", ""),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, text: str, name: str, said: str, hint: str) -> None:
    with pytest.raises(Misuse) as caught:
        profile(name, folder=written(tmp_path, text))
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_no_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="there is no list of profiles") as caught:
        profile(folder=tmp_path)
    assert "coordinator = " in caught.value.hint


def test_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FEDERATION_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("FEDERATION_HOME")
    assert home() == Path("~/.federation").expanduser()


def test_an_address_needs_keys_and_a_roster(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="is an address"):
        connect("relay.example:7443")
    with pytest.raises(Refused, match="cannot be opened"):
        connect("relay.example:7443", identity=tmp_path / "none", roster=tmp_path / "none.json")
    with pytest.raises(Refused, match="cannot be opened"):
        connect(home=written(tmp_path, BAY))
