"""`federation bundle`: an author packs, two operators sign, a third approves; each mistake has a next step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.cli import bundle
from clients.cli.main import main
from clients.jurisdiction import bundle_file, sandbox
from federation.domain.roster import Role
from federation.identity import keys, roster_file
from tests.attacks.models import authors

FILE = """
[jurisdiction]
coordinator = "127.0.0.1:7443"
keys = "keys/{name}"
roster = "roster.json"
state = "state/{name}"

[[dataset]]
name = "people"
source = "people.csv"
[dataset.columns.age]
kind = "integer"
low = 0
high = 120
"""
Run = Callable[..., dict[str, object]]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three jurisdictions' files in one folder, and an author's folder."""
    made = [
        keys.create(tmp_path / "keys" / name, name, Role.COORDINATOR if name == "relay" else Role.JURISDICTION)
        for name in ("relay", "gd", "hk", "macao")
    ]
    roster = roster_file.convened("gba", [one.member for one in made])
    for one in made:
        roster = roster_file.signed(roster, one)
        (tmp_path / f"{one.name}.toml").write_text(FILE.format(name=one.name))
        (tmp_path / "state" / one.name).mkdir(parents=True, mode=0o700)
    roster_file.save(tmp_path / "roster.json", roster)
    authors.written(tmp_path / "net", authors.HONEST)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, code: int = 0) -> dict[str, object]:
        assert main(["bundle", *arguments, "-o", "json"]) == code
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_a_bundle_goes_from_its_author_to_where_it_may_run(office: Path, run: Run) -> None:
    packed = run("pack", "net")["data"]
    assert isinstance(packed, dict)
    assert (packed["parameters"], packed["signatures"]) == (5, [])
    run("sign", "net.bundle", "gd.toml", "--yes")
    run("sign", "net.bundle", "macao.toml", "--yes")
    run("approve", "net.bundle", "hk.toml", "--yes")
    listed = run("list", "hk.toml")["data"]
    assert isinstance(listed, dict)
    assert [(one["model"], one["runs"]) for one in listed["bundles"]] == [(packed["model"], True)]
    assert not run("list", "gd.toml")["data"]["bundles"], "who signed it has not approved it"  # type: ignore[index]
    run("withdraw", str(packed["model"])[:20], "hk.toml")
    assert not run("list", "hk.toml")["data"]["bundles"]  # type: ignore[index]


def test_what_show_says_is_what_a_job_needs(office: Path, run: Run) -> None:
    run("pack", "net")
    shown = run("show", "net.bundle")["data"]
    assert isinstance(shown, dict)
    found = bundle_file.load(office / "net.bundle")
    assert shown["model"] == found.manifest.model
    assert shown["source"] == authors.HONEST
    assert shown["config"] == json.loads(json.dumps(dict(found.manifest.config)))


def test_show_prints_every_line_of_the_source(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "pack", "net"]) == 0
    assert main(["bundle", "show", "net.bundle"]) == 0
    assert authors.HONEST.rstrip() in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["sign", "approve"])
def test_nobody_signs_or_approves_without_having_been_asked(
    verb: str, office: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["bundle", "pack", "net"])
    for name in ("gd", "macao"):
        main(["bundle", "sign", "net.bundle", f"{name}.toml", "--yes"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    before = (office / "net.bundle").read_bytes()
    capsys.readouterr()
    assert main(["bundle", verb, "net.bundle", "hk.toml"]) == 2
    said = capsys.readouterr().err
    assert "class OneLayer" in said, "the source was shown"
    assert "--yes" in said
    assert (office / "net.bundle").read_bytes() == before
    assert not (office / "state" / "hk" / "bundles").exists()


def test_one_signature_does_not_do(office: Path, run: Run) -> None:
    run("pack", "net")
    run("sign", "net.bundle", "hk.toml", "--yes")
    error = run("approve", "net.bundle", "hk.toml", "--yes", code=3)["error"]
    assert isinstance(error, dict)
    assert "valid signatures of hk" in error["message"]
    assert "bundle sign" in error["hint"]


def test_signatures_of_two_copies_come_together(office: Path, run: Run) -> None:
    run("pack", "net")
    (office / "copy.bundle").write_bytes((office / "net.bundle").read_bytes())
    run("sign", "net.bundle", "gd.toml", "--yes")
    run("sign", "copy.bundle", "macao.toml", "--yes", "--with", "net.bundle")
    assert run("show", "copy.bundle")["data"]["signatures"] == ["gd", "macao"]  # type: ignore[index]
    (office / "net" / "model.py").write_text(authors.HONEST + "# another\n")
    run("pack", "net", "--to", "other.bundle")
    run("sign", "copy.bundle", "hk.toml", "--yes", "--with", "other.bundle", code=3)


def test_a_bundle_is_never_packed_over_another(office: Path, run: Run) -> None:
    run("pack", "net")
    run("pack", "net", code=2)


def test_a_relay_signs_nothing(office: Path, run: Run) -> None:
    run("pack", "net")
    error = run("sign", "net.bundle", "relay.toml", "--yes", code=2)["error"]
    assert "not a jurisdiction" in error["message"]  # type: ignore[index]


def test_who_lacks_a_sandbox_is_told_when_they_approve(
    office: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "PLACES", str(office))
    main(["bundle", "pack", "net"])
    for name in ("gd", "hk"):
        main(["bundle", "sign", "net.bundle", f"{name}.toml", "--yes"])
    capsys.readouterr()
    assert main(["bundle", "approve", "net.bundle", "hk.toml", "--yes"]) == 0
    assert "apt-get install bubblewrap" in capsys.readouterr().out
    assert main(["bundle", "list", "hk.toml"]) == 0
    assert "bwrap is not installed" in capsys.readouterr().out


def test_the_beginning_of_a_hash_is_not_too_short_to_withdraw(office: Path, run: Run) -> None:
    run("withdraw", "3f", "hk.toml", code=2)
    assert bundle.ENDING == ".bundle"
