"""Real daemons make real keys over TLS, and kill -9 of any of them, or of the relay, costs a pause and not the key.

512 bits and `development_keys = true`: such keys protect nobody, and daemons that real operators run refuse them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.cli.main import main
from clients.cli.stage import COORDINATOR, Stage
from federation.errors import FederationError
from federation.identity import control

sys.path.insert(0, str(Path(__file__).parent))
from federations import PARTIES, until, written
from gates import GatedStage

pytestmark = pytest.mark.slow

WORDS = "key_ceremony"  # as gates call the frames of words
KILLED = "hongkong"
BAR_S = 5.0


def permitting(file: Path) -> None:
    """Let a daemon make keys that protect nobody."""
    text = file.read_text()
    file.write_text(text.replace("[jurisdiction]\n", "[jurisdiction]\ndevelopment_keys = true\n", 1))


class Lenient(GatedStage):
    """A stage whose daemons make keys that protect nobody."""

    def _write_jurisdiction(self, name: str, rest: str) -> None:
        super()._write_jurisdiction(name, rest)
        permitting(self.jurisdiction_file(name))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lenient]:
    folder = tmp_path_factory.mktemp("keys")
    with Lenient(folder / "stage", written(folder), KILLED) as running:
        yield running


def told(stage: Stage, name: str) -> dict[str, Any]:
    return control.ask(stage.state(name), "keys")


def ceremony(stage: Stage, name: str, which: str) -> dict[str, Any]:
    """A ceremony as a daemon tells of it; {} while it is not there, or the daemon is not."""
    try:
        found = told(stage, name)["ceremonies"]
    except FederationError:
        return {}
    return next((one for one in found if one["ceremony"] == which), {})


def begun(stage: Stage, by: str = "macao") -> str:
    """Propose a key and let all approve; return its ceremony's id."""
    arguments = {"holders": list(PARTIES), "bits": 512, "lasting_s": 600}
    which = str(control.ask(stage.state(by), "key_propose", arguments)["ceremony"])
    for name in PARTIES:
        if name != by:
            until(lambda name=name: ceremony(stage, name, which).get("state") == "proposed")  # type: ignore[misc]
            control.ask(stage.state(name), "key_approve", {"ceremony": which})
    return which


# How many tries a key takes is luck, and other processes may want the machine: a batch of 128 holds a modulus with
# probability 0.3. Less than the limit of a test, so that who waits for whom is told.
LUCK_S = 60.0


def stands(stage: Stage, which: str) -> str:
    """Where everybody is in a ceremony, and for whom they wait."""
    words = ("state", "why", "step", "place", "waits_for", "tries")
    found = {name: ceremony(stage, name, which) for name in PARTIES}
    return str({name: {word: one.get(word) for word in words} for name, one in found.items()})


def made(stage: Stage, which: str) -> dict[str, Any]:
    """Wait until all holders have the key; return what one of them tells of it."""
    for name in PARTIES:
        ended = lambda name=name: ceremony(stage, name, which).get("state") in ("made", "failed")  # noqa: E731
        try:
            until(ended, name, LUCK_S)
        except AssertionError:
            pytest.fail(f"{name} has no end of it: {stands(stage, which)}")
    found = [ceremony(stage, name, which) for name in PARTIES]
    assert [(one["state"], one["why"]) for one in found] == [("made", "")] * 3
    assert len({(one["key"], one["transcript"]) for one in found}) == 1
    assert all(found[0]["key"] in [key["key"] for key in told(stage, name)["keys"]] for name in PARTIES)
    with stage.session() as session:
        served = {one.digest.hex(): one for one in session.joint_keys()}
    assert served[found[0]["key"]].transcript.hex() == found[0]["transcript"]
    return found[0]


def test_three_daemons_make_a_key_within_the_bar(stage: Lenient) -> None:
    """One of three, at most: how many tries a key takes is luck, and other work on the machine is not ours."""
    took: list[float] = []
    while not took or (min(took) > BAR_S and len(took) < 3):
        since = time.monotonic()
        made(stage, begun(stage))
        took.append(time.monotonic() - since)
    assert min(took) <= BAR_S


# Words 3 to 11 are those of the first batch: choose, sieve, sieve, multiply, correct, open, test, ..
@pytest.mark.parametrize(("place", "passes"), [(1, True), (3, True), (4, False), (6, False), (8, True)])
def test_a_holder_killed_in_the_middle_goes_on_with_the_same_words(stage: Lenient, place: int, passes: bool) -> None:
    gate = stage.gates[KILLED]
    before = len(gate.seen)
    gate.shut_at(WORDS, place, passes=passes)
    which = begun(stage)
    gate.await_shut()
    stage.kill(KILLED)
    gate.cut()
    stage.launch(KILLED)
    made(stage, which)
    said: dict[int, set[bytes]] = {}
    for frame in gate.seen[before:]:
        if frame.kind == WORDS:
            said.setdefault(frame.index, set()).add(signed_body(frame.raw))
    assert place in said
    assert {len(bodies) for bodies in said.values()} == {1}, "a word was said again with other bytes"


def signed_body(raw: bytes) -> bytes:
    from federation.wire.v1 import coordinator_service_pb2 as pb

    return bytes(pb.AttendRequest.FromString(raw).frame.signed.body)


@pytest.mark.parametrize("place", [2, 5])
def test_the_relay_killed_in_the_middle_passes_on_what_is_asked_for_again(stage: Lenient, place: int) -> None:
    gate = stage.gates[KILLED]
    gate.shut_at(WORDS, place)
    which = begun(stage)
    gate.await_shut()
    stage.kill(COORDINATOR)
    gate.cut()
    stage.start_coordinator()
    made(stage, which)
    size = (stage.state(COORDINATOR) / "events.db").stat().st_size
    assert size < 1_000_000, "words and boxes are passed on, and not stored"


def test_everybody_killed_at_once_goes_on(stage: Lenient) -> None:
    gate = stage.gates[KILLED]
    gate.shut_at(WORDS, 7)
    which = begun(stage)
    gate.await_shut()
    for name in (*PARTIES, COORDINATOR):
        stage.kill(name)
    gate.cut()
    stage.start_coordinator()
    for name in PARTIES:
        stage.launch(name)
    made(stage, which)


def test_a_sum_is_answered_while_a_key_is_made(stage: Lenient) -> None:
    which = begun(stage)
    with stage.session() as session:
        assert session.table("people", purpose="test").count().value == 180
    made(stage, which)


def test_what_an_operator_types(stage: Lenient, capfd: pytest.CaptureFixture[str]) -> None:
    files = {name: str(stage.jurisdiction_file(name)) for name in PARTIES}
    assert main(["key", "ceremony", files["macao"], "--bits", "512", "--yes", "--no-follow", "-o", "json"]) == 0
    out, err = capfd.readouterr()
    which = json.loads(out)["data"]["ceremony"]
    for word in ("tries", "MB between all", "DEVELOPMENT KEY", "key approve FILE"):
        assert word in err
    until(lambda: ceremony(stage, "guangdong", which).get("state") == "proposed")
    until(lambda: ceremony(stage, "hongkong", which).get("state") == "proposed")
    assert main(["key", "approve", files["guangdong"], which[:6]]) == 2
    assert "nobody is there to be asked" in capfd.readouterr().err
    assert main(["key", "approve", files["guangdong"], which[:6], "--yes"]) == 0
    assert "waits for the operators of hongkong" in capfd.readouterr().out
    assert main(["key", "approve", files["hongkong"], "--yes", "--follow"]) == 0
    out, err = capfd.readouterr()
    key = ceremony(stage, "macao", which)
    assert f"transcript  {key['transcript']}" in out
    assert "all holders have signed" in out
    assert "0 tries (mean 362, nine in ten need fewer than 833)" in err
    for arguments in (["key", "list", files["macao"]], ["key", "list"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FEDERATION_HOME", str(stage.folder))
            assert main(arguments) == 0
        assert f"{key['key'][:16]}  guangdong, hongkong, macao   512" in capfd.readouterr().out
    assert main(["key", "status", files["macao"]]) == 0
    assert f"key {key['key'][:8]} after {key['tries']} tries" in capfd.readouterr().out
    assert main(["key", "approve", files["macao"], "--yes"]) == 2
    assert "no such proposal waits" in capfd.readouterr().err


def test_a_daemon_that_real_operators_run_makes_no_key_that_protects_nobody(tmp_path: Path) -> None:
    with Stage(tmp_path / "stage", written(tmp_path)) as strict:
        file = str(strict.jurisdiction_file("macao"))
        assert main(["key", "ceremony", file, "--bits", "512", "--yes"]) == 3
        assert told(strict, "macao")["ceremonies"] == []
        assert main(["key", "ceremony", file, "--bits", "2048", "--yes", "--no-follow"]) == 0
        until(lambda: told(strict, "guangdong")["ceremonies"])
        assert main(["key", "decline", str(strict.jurisdiction_file("guangdong"))]) == 0
        until(lambda: told(strict, "macao")["ceremonies"][-1]["state"] == "failed")
        assert "declined" in told(strict, "macao")["ceremonies"][-1]["why"]
