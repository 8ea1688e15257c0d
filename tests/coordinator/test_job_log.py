"""A job's log: who did what and when, for its researcher only, the same after a restart."""

from __future__ import annotations

import pytest

from federation.domain.job import State
from federation.errors import Misuse
from tests.coordinator.stage import Stage, begun


def test_the_log_tells_who_did_what_and_how_it_ended() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    stage.settle()
    lines = stage.coordinator.log(job_hash, "ana")
    assert lines[0].text.startswith("submitted")
    assert {line.party for line in lines} >= {"ana", *stage.names}
    assert any(line.text.startswith("permitted") for line in lines)
    assert any(line.text.startswith("sent head 0") for line in lines)
    assert lines[-1].text == State.RELEASED.value


def test_the_log_of_another_researcher_is_not_there() -> None:
    stage = Stage()
    _, job_hash = begun(stage)
    for ask in (stage.coordinator.log, stage.coordinator.update, stage.coordinator.released, stage.coordinator.cancel):
        with pytest.raises(Misuse, match="no such job"):
            ask(job_hash, "ben")
    assert stage.coordinator.summaries("ben") == []
    ((summary, envelope),) = stage.coordinator.summaries("ana")
    assert (summary.job_hash, summary.job.researcher) == (job_hash, "ana")
    assert envelope.body
