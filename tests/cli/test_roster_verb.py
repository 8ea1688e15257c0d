"""`federation roster`: from nothing to a roster in force, with every wrong turn answered in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from clients.cli import roster as verb
from clients.cli.main import main
from federation.domain.roster import Role
from federation.identity import card, keys, roster_file

ROLES = {"relay": "coordinator", "guangdong": "jurisdiction", "hongkong": "jurisdiction", "macao": "jurisdiction"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def draft(here: Path) -> Path:
    for name, role in ROLES.items():
        assert main(["roster", "join", name, "--role", role, "--keys", f"keys/{name}"]) == 0
    assert main(["roster", "init", "gba", *(f"{name}.card.json" for name in ROLES)]) == 0
    return here / "roster.json"


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run the verb with -o json; nothing but one envelope is on stdout."""
    capsys.readouterr()
    code = main(["roster", *arguments, "-o", "json"])
    envelope: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert envelope["exit_code"] == code
    return envelope


def test_members_who_join_meet_and_sign_have_a_roster_in_force(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = answered(capsys, "show")["data"]
    assert (data["in_force"], data["unsigned_by"], data["version"]) == (False, sorted(ROLES), 1)
    for name in ROLES:
        data = answered(capsys, "sign", "--keys", f"keys/{name}", "--fingerprint", data["fingerprint"])["data"]
    assert (data["in_force"], data["unsigned_by"]) == (True, [])
    assert "coordinator start" in data["next"]
    roster = roster_file.in_force(roster_file.load(draft))
    me = keys.load(Path("keys/macao"))
    keys.check_joined(me, roster)
    assert {m["name"]: m["fingerprint"] for m in data["members"]}["macao"] == card.fingerprint(me.member)


def test_the_table_is_the_result_and_the_story_is_not(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["roster", "sign", "--keys", "keys/macao", "--yes"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("gba, version 1, fingerprint ")
    assert lines[1].split() == ["member", "role", "fingerprint", "signed"]
    assert [line.split()[-1] for line in lines[2:6]] == ["no", "no", "yes", "no"]
    assert "no valid signature of guangdong, hongkong, relay" in lines[6]
    assert lines[7].startswith("next: ")
    assert err == ""


def test_joining_shows_the_public_part_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = answered(capsys, "join", "macao", "--keys", "secret")["data"]
    me = keys.load(here / "secret")
    assert (data["name"], data["role"]) == ("macao", Role.JURISDICTION.value)
    assert data["fingerprint"] == card.fingerprint(me.member)
    public = (here / "macao.card.json").read_bytes()
    assert card.decoded(public, "the card") == me.member
    for secret in (me.identity_key.hex(), me.storage_key.hex(), "PRIVATE"):
        assert secret not in json.dumps(data) + public.decode()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """Run the verb, which must end with `code`, one line of error and at most one of hint on stderr; return these."""
    capsys.readouterr()
    assert main(["roster", *arguments]) == code
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
    assert out == ""
    assert lines[0].startswith("error: ")
    assert len(lines) <= 2
    return "\n".join(lines)


def test_keys_and_cards_are_not_overwritten(draft: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (here / "keys/macao/identity.key").read_bytes()
    assert "exists already" in refused(capsys, "join", "macao", "--keys", "elsewhere", code=2)
    assert not (here / "elsewhere").exists()
    again = refused(capsys, "join", "macao", "--keys", "keys/macao", "--card", "other.json", code=2)
    assert "never overwritten" in again
    assert (here / "keys/macao/identity.key").read_bytes() == before
    assert "exists already" in refused(capsys, "init", "gba", *(f"{name}.card.json" for name in ROLES), code=2)


def test_a_roster_with_another_fingerprint_is_not_signed(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = draft.read_bytes()
    shown = roster_file.fingerprint(roster_file.load(draft))
    wrong = shown[:-1] + ("0" if shown[-1] != "0" else "1")
    assert shown in refused(capsys, "sign", "--keys", "keys/macao", "--fingerprint", wrong, code=3)
    assert "not the one" in refused(capsys, "sign", "--keys", "keys/macao", "--fingerprint", shown[:9], code=3)
    assert draft.read_bytes() == before
    assert main(["roster", "sign", "--keys", "keys/macao", "--fingerprint", shown.replace(" ", "").upper()]) == 0


def test_nobody_signs_without_being_asked(
    draft: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = draft.read_bytes()
    assert "--fingerprint" in refused(capsys, "sign", "--keys", "keys/macao", code=2)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked: list[str] = []

    def confirm(question: str, *, err: bool) -> bool:
        asked.append(question)
        assert err
        return len(asked) > 1

    monkeypatch.setattr(verb.typer, "confirm", confirm)
    assert main(["roster", "sign", "--keys", "keys/macao"]) == 130
    assert draft.read_bytes() == before
    assert main(["roster", "sign", "--keys", "keys/macao"]) == 0
    assert roster_file.fingerprint(roster_file.load(draft)) in asked[0]
    assert "macao" not in roster_file.unsigned_by(roster_file.load(draft))
    assert typer.confirm is confirm


def test_signatures_from_copies_are_taken_over(draft: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = []
    for name in ROLES:
        copies.append(f"{name}.json")
        (here / copies[-1]).write_bytes(draft.read_bytes())
        assert main(["roster", "sign", "--roster", copies[-1], "--keys", f"keys/{name}", "--yes"]) == 0
    data = answered(capsys, "sign", *(word for copy in copies for word in ("--with", copy)))["data"]
    assert data["in_force"]
    assert "nothing to sign" in refused(capsys, "sign", code=2)


def test_a_stranger_does_not_sign(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roster", "join", "macao", "--keys", "fresh", "--card", "fresh.json"]) == 0
    assert "another key" in refused(capsys, "sign", "--keys", "fresh", "--yes", code=3)
    assert main(["roster", "join", "taipa", "--keys", "taipa"]) == 0
    assert "no member" in refused(capsys, "sign", "--keys", "taipa", "--yes", code=2)


def test_readable_keys_do_not_sign(draft: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "keys/macao/identity.key").chmod(0o644)
    assert "chmod 600" in refused(capsys, "sign", "--keys", "keys/macao", "--yes", code=3)


def test_a_draft_needs_a_coordinator_three_jurisdictions_and_true_cards(
    draft: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--roster", "other.json")
    cards = {name: f"{name}.card.json" for name in ROLES}
    assert "coordinator" in refused(capsys, "init", "gba", *(c for n, c in cards.items() if n != "relay"), *out, code=3)
    assert "at least 3" in refused(capsys, "init", "gba", *(c for n, c in cards.items() if n != "macao"), *out, code=3)
    assert "twice" in refused(capsys, "init", "gba", *cards.values(), cards["macao"], *out, code=3)
    assert "name" in refused(capsys, "init", "GBA", *cards.values(), *out, code=2)
    assert "nowhere.json" in refused(capsys, "init", "gba", "nowhere.json", *out, code=2)
    path = here / cards["macao"]
    path.write_bytes(path.read_bytes().replace(b'"jurisdiction"', b'"researcher"'))
    assert "not signed" in refused(capsys, "init", "gba", *cards.values(), *out, code=3)
    assert not (here / "other.json").exists()


def test_a_second_version_replaces_adds_and_drops_members(draft: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--roster", "second.json")
    refused(capsys, "init", "gba", "--after", "roster.json", *out, code=3)  # the first is still a draft
    for name in ROLES:
        assert main(["roster", "sign", "--keys", f"keys/{name}", "--yes"]) == 0
    assert main(["roster", "join", "taipa", "--keys", "keys/taipa"]) == 0
    assert main(["roster", "join", "hongkong", "--keys", "keys/hk2", "--card", "hk2.json"]) == 0
    words = ("init", "gba", "--after", "roster.json")
    assert "did you mean 'macao'" in refused(capsys, *words, "--without", "macau", *out, code=2)
    changes = ("taipa.card.json", "hk2.json", "--without", "macao")
    data = answered(capsys, *words, *changes, *out)["data"]
    assert (data["version"], data["in_force"]) == (2, False)
    assert [member["name"] for member in data["members"]] == ["guangdong", "hongkong", "relay", "taipa"]
    second = roster_file.load(Path("second.json"))
    assert second.member("hongkong") == keys.load(Path("keys/hk2")).member
    assert "not of delta" in refused(
        capsys, "init", "delta", "--after", "roster.json", "--roster", "third.json", code=3
    )


def test_a_roster_that_is_not_there_is_said_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "roster.json" in refused(capsys, "show", code=2)
    (here / "roster.json").write_text('{"schema": "federation/roster/v1", "versoin": 1}')
    assert "did you mean 'version'" in refused(capsys, "show", code=2)


@pytest.mark.parametrize("command", ["join", "init", "sign", "show"])
def test_every_command_has_an_example_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roster", command, "--help"]) == 0
    assert f"Example: federation roster {command}" in capsys.readouterr().out
