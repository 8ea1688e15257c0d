"""Jobs are remembered for their owner, found by name or hash, and read back as they were signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.researcher.job_record import FOLDER, JobRecord, record, records, save
from clients.researcher.session import Session
from federation.errors import Misuse
from tests.researcher.fake import Fake


def handed_in(question: str, token: bytes) -> JobRecord:
    session = Session(Fake(), entropy=lambda _: token)
    table = session.table("tb")
    handle = session.submit([getattr(table.ask, question)("age")], data=table)
    return JobRecord(job_hash=handle.job_hash, job=handle.job, published=handle.published)


MEAN = handed_in("mean", b"\x11" * 16)
VAR = handed_in("var", b"\x22" * 16)


def test_a_record_is_read_back_as_it_was(tmp_path: Path) -> None:
    path = save(MEAN, tmp_path)
    save(VAR, tmp_path)
    assert record(MEAN.job.name, tmp_path) == MEAN
    assert {each.job.name for each in records(tmp_path)} == {"mean-age-1111", "var-age-2222"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_job_is_found_by_how_its_name_or_hash_begins(tmp_path: Path) -> None:
    save(MEAN, tmp_path)
    save(VAR, tmp_path)
    assert record("var", tmp_path) == VAR
    assert record(MEAN.job_hash.hex()[:8], tmp_path) == MEAN
    with pytest.raises(Misuse, match="no job 'men-age-1111'") as caught:
        record("men-age-1111", tmp_path)
    assert caught.value.hint == "did you mean 'mean-age-1111'?"
    with pytest.raises(Misuse, match="2 jobs are called") as caught:
        record("", tmp_path)
    assert MEAN.job_hash.hex()[:12] in caught.value.hint


def test_a_home_without_jobs_is_empty(tmp_path: Path) -> None:
    assert records(tmp_path) == ()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"schema": "federation/job-record/v1", "job": "AAAA", "publications": []}']
)
def test_a_broken_record_is_named_and_no_crash(tmp_path: Path, content: bytes) -> None:
    save(MEAN, tmp_path).write_bytes(content)
    with pytest.raises(Misuse, match="the job record"):
        records(tmp_path)
    assert list((tmp_path / FOLDER).iterdir())
