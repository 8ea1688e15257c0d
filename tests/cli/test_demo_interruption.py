"""The demo's power cut holds its moment, happens once, and does not claim what did not happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.cli import interruption as interruption_module
from clients.cli.interruption import KEYED, Course, Interruption
from federation.domain.job import PartyProgress, State, Update
from federation.errors import JobFailed, Misuse
from federation.wire import messages as m
from federation.wire.log import wire_log

JOB, OTHER_JOB = b"j" * 32, b"o" * 32


def frame(content: bytes, job_hash: bytes = JOB) -> m.Frame:
    return m.Frame(m.Signed(content, bytes(16), bytes(64), "federation/test/v1"), job_hash=job_hash)


class Processes:
    """A stage whose processes only note what is done to them; the victim sends `sent` before and `again` after."""

    def __init__(self, folder: Path, sent: list[bytes], again: list[bytes]) -> None:
        self.done: list[str] = []
        self.processes = {"victim": 1, "bystander": 2}
        self._log, self._again = folder / "victim.log", again
        self._say(sent)

    def wire_log(self, _name: str) -> Path:
        return self._log

    def freeze(self, name: str) -> None:
        self.done.append(f"freeze {name}")

    def thaw(self, name: str) -> None:
        self.done.append(f"thaw {name}")

    def kill(self, name: str) -> int:
        self.done.append(f"kill {name}")
        return 4711

    def launch(self, name: str) -> None:
        self.done.append(f"launch {name}")
        self._say(self._again)

    def _say(self, contents: list[bytes]) -> None:
        with wire_log(self._log) as heard:
            heard("out", "coordinator", frame(b"hello", b""))
            heard("in", "coordinator", frame(b"bundle"))
            for content in contents:
                heard("out", "coordinator", frame(content))
            heard("out", "coordinator", frame(b"other", OTHER_JOB))


def update(victim: str, bystander: str, state: State = State.RUNNING) -> Update:
    parties = tuple(
        PartyProgress(party=party, step=step, connected=True, sent_bytes=1)
        for party, step in (("bystander", bystander), ("victim", victim))
    )
    return Update(job_hash=JOB, state=state, round_index=0, parties=parties)


STORY = (
    update("attested", "attested", State.RELEASED),  # the job before
    update("offered", "offered", State.UNDER_REVIEW),
    update("sent advert 0", "offered", State.UNDER_REVIEW),
    update("sent advert 0", "sent advert 0"),
    update("sent advert 0", "sent shares 0"),
    update("sent head 0", "sent shares 0"),
    update("sent head 0", "sent head 0"),
    update("sent unmask 0", "sent unmask 0"),
    update("attested", "attested", State.RELEASED),
)


KEYED_STORY = (
    *STORY[:2],
    update("sent ready 0", "offered", State.UNDER_REVIEW),
    update("sent ready 0", "sent ready 0"),
    update("sent ready 0", "sent cipher 0"),
    update("sent cipher 0", "sent cipher 0"),
    update("sent partial 0", "sent cipher 0"),
    update("sent partial 0", "sent partial 0"),
    update("attested", "attested", State.RELEASED),
)


def interrupted(
    stage: Any, updates: tuple[Update, ...], said: list[str], course: Course = interruption_module.MASKED
) -> Interruption:
    interruption = Interruption(stage, victim="victim", bystander="bystander", after=1, told=said.append, course=course)
    with interruption:
        for each in updates:
            interruption.show(each)
    return interruption


def test_the_victim_is_killed_when_its_numbers_are_out_and_the_bystander_has_sent_none(tmp_path: Path) -> None:
    stage, said = Processes(tmp_path, [b"advert", b"head"], [b"advert", b"head", b"consent"]), list[str]()
    interruption = interrupted(stage, STORY, said)
    assert stage.done[:8] == [
        "freeze bystander",
        "freeze victim",
        "thaw bystander",
        "freeze bystander",
        "thaw victim",
        "kill victim",
        "thaw bystander",
        "launch victim",
    ]
    assert (interruption.pid, interruption.messages) == (4711, 2)
    assert "kill -9 4711" in said[0]
    assert "the same 2 messages, byte for byte" in said[1]
    assert "the same 2 messages, byte for byte" in interruption.sentence()


def test_under_a_joint_key_the_bystander_has_sent_no_answer_when_the_victim_is_killed(tmp_path: Path) -> None:
    stage, said = Processes(tmp_path, [b"ready", b"cipher"], [b"cipher", b"ready", b"partial"]), list[str]()
    interruption = interrupted(stage, KEYED_STORY, said, KEYED)
    assert stage.done[:6] == [
        "freeze bystander",
        "freeze victim",
        "thaw bystander",
        "freeze bystander",
        "thaw victim",
        "kill victim",
    ]
    assert "its encrypted numbers are out, nothing is opened" in said[0]
    assert interruption.messages == 2
    other = tmp_path / "other"
    other.mkdir()
    lying = Processes(other, [b"ready", b"cipher"], [b"ready", b"another"])
    with pytest.raises(JobFailed, match="victim sent other bytes"):
        interrupted(lying, KEYED_STORY, [], KEYED)


@pytest.mark.parametrize("until", range(len(KEYED_STORY)))
def test_an_answer_that_was_on_its_way_before_the_kill_is_no_sign_of_life(tmp_path: Path, until: int) -> None:
    """The victim's own answer may be out when it is killed; what needs the bystander's proves that it is back."""
    stage = Processes(tmp_path, [b"cipher"], [b"cipher"])
    with pytest.raises(JobFailed, match="was to be killed"):
        interrupted(stage, KEYED_STORY[:until], [], KEYED)


def test_keys_of_a_next_round_go_with_the_numbers(tmp_path: Path) -> None:
    stage = Processes(tmp_path, [b"head"], [b"head"])
    interrupted(stage, (*STORY[:5], update("sent advert 1", "sent shares 0"), *STORY[6:]), [])
    assert "kill victim" in stage.done


@pytest.mark.parametrize("again", [[], [b"advert"], [b"advert", b"other head"], [b"head", b"advert"]])
def test_other_bytes_fail_the_demo(tmp_path: Path, again: list[bytes]) -> None:
    with pytest.raises(JobFailed, match="victim sent other bytes"):
        interrupted(Processes(tmp_path, [b"advert", b"head"], again), STORY, [])


@pytest.mark.parametrize("until", range(len(STORY)))
def test_what_did_not_happen_is_not_told(tmp_path: Path, until: int) -> None:
    stage = Processes(tmp_path, [b"head"], [b"head"])
    with pytest.raises(JobFailed, match="was to be killed"):
        interrupted(stage, STORY[:until], [])
    assert set(stage.done[-2:]) == {"thaw victim", "thaw bystander"}


def test_an_error_of_the_story_is_told_first_and_nobody_stays_frozen(tmp_path: Path) -> None:
    stage: Any = Processes(tmp_path, [], [])
    with pytest.raises(Misuse), Interruption(stage, victim="victim", bystander="bystander", after=0):
        raise Misuse("planted")
    assert stage.done == ["freeze bystander", "thaw victim", "thaw bystander"]
