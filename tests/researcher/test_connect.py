"""Connecting: keys, a roster in force and a researcher's role are checked before anything is dialled."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from clients.cli.main import main
from clients.researcher.session import connect
from federation.domain.roster import Role
from federation.errors import Misuse, Refused, Unreachable
from federation.identity import keys, roster_file

MEMBERS = (
    ("alice", Role.RESEARCHER),
    ("relay", Role.COORDINATOR),
    ("guangdong", Role.JURISDICTION),
    ("hongkong", Role.JURISDICTION),
    ("macao", Role.JURISDICTION),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everybody's keys, a roster in force, a draft, and a profile that leads to a closed port."""
    folder = tmp_path_factory.mktemp("home")
    everybody = {name: keys.create(folder / name, name, role) for name, role in MEMBERS}
    draft = roster_file.convened("bay", [credentials.member for credentials in everybody.values()])
    roster_file.save(folder / "draft.json", draft)
    for credentials in everybody.values():
        draft = roster_file.signed(draft, credentials)
    roster_file.save(folder / "bay.json", draft)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    profile = f'[bay]\ncoordinator = "127.0.0.1:{port}"\nkeys = "alice"\nroster = "bay.json"\n'
    (folder / "profiles.toml").write_text(profile, "utf-8")
    return folder


def test_a_profile_makes_a_session_of_its_member(home: Path) -> None:
    with connect("bay", home=home) as session:
        assert (session.me, session.coordinator) == ("alice", "relay")
        assert repr(session) == "Session('alice' in 'bay', roster version 1)"


def test_a_draft_opens_no_connection(home: Path) -> None:
    with pytest.raises(Refused, match="not in force"):
        connect("bay", home=home, roster=home / "draft.json")


def test_only_a_researcher_asks(home: Path) -> None:
    with pytest.raises(Misuse, match="macao is a jurisdiction, not a researcher"):
        connect("bay", home=home, identity=home / "macao")


def test_nobody_there_is_exit_5(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with connect(home=home) as session, pytest.raises(Unreachable):
        session.tables()
    monkeypatch.setenv("FEDERATION_HOME", str(home))
    assert main(["catalog", "ls"]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
