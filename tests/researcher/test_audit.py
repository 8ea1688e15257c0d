"""The audit of honest evidence: what can be proven is, figures come out again, chunks can be added up alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from clients.local.federation import COORDINATOR, RESEARCHER
from clients.researcher import findings
from clients.researcher.audit import audited
from clients.researcher.findings import Line, Report, Standing
from federation.analytics.statistics.count import Count
from federation.crypto import ring
from federation.crypto.chunk_hash import chunk_hash
from federation.errors import Misuse, Refused
from federation.identity import roster_file
from federation.ledger import merkle
from federation.protocols.setup import chunked
from federation.wire import messages as m
from federation.wire.evidence import encoded
from tests.researcher.evidences import (
    PARTIES,
    STORIES,
    bereft,
    large,
    parties_of,
    refused,
    small,
    stopped,
    tried_again,
    value_of,
    walked,
)


def steps(report: Report, standing: Standing = Standing.PROVEN) -> set[str]:
    return {line.step for line in report.lines if line.standing is standing}


def line_of(report: Report, step: str, standing: Standing = Standing.PROVEN) -> Line:
    (found,) = [line for line in report.lines if (line.step, line.standing) == (step, standing)]
    return found


# --- honest evidence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_honest_evidence_holds_and_gives_the_researchers_figures_again(name: str) -> None:
    story = STORIES[name]()
    report = story.audited()
    assert report.broken is None
    assert report.job_hash == story.job_hash
    assert story.answers
    assert [figure.table for figure in report.figures] == list(story.answers)
    chain = ("setup", "keys", "shares", "contributors", "consents", "opening", "vectors", "total")
    sums = {f"round {index}: {step}" for index in range(len(story.evidence.sums)) for step in chain}
    rest = {"file", "job", "publications", "verdicts", "transcript", "attestations", "figures"}
    assert steps(report) == sums | rest
    assert "limits" in steps(report, Standing.NOT_PROVABLE)


def test_the_stories_are_what_they_are_called() -> None:
    assert len(walked().evidence.sums) >= 3
    assert [len(one.adverts) for one in bereft().evidence.sums] == [5, 4]
    assert [parties_of(bereft(), one) for one in bereft().evidence.sums] == [[p for p in PARTIES if p != "macao"]] * 2
    assert len(bereft().evidence.attestations) == 3
    assert [len(one.chunks) for one in large().evidence.sums[0].contributions] == [2, 2, 2]
    assert [one.attempt for one in tried_again().evidence.sums] == [1]
    assert len(tried_again().evidence.sums[0].withdrawals) >= 4


def test_every_line_names_who_stands_behind_it() -> None:
    report = bereft().audited()
    assert line_of(report, "job").by == (RESEARCHER,)
    assert line_of(report, "verdicts").by == PARTIES
    assert line_of(report, "round 0: keys").by == PARTIES
    counted = tuple(party for party in PARTIES if party != "macao")
    assert line_of(report, "round 0: contributors").by == counted
    assert line_of(report, "round 0: vectors").by == counted
    assert line_of(report, "round 0: opening").by == (COORDINATOR,)
    assert "1 key of those who were lost" in line_of(report, "round 0: opening").claim
    lost = line_of(report, "round 0: contributors", Standing.STATED)
    assert (lost.by, lost.claim) == ((COORDINATOR,), "no vector of macao came in time")
    assert line_of(report, "attestations").by == ("guangdong", "hongkong", "shenzhen")
    assert "zhuhai" in line_of(report, "attestations", Standing.STATED).claim
    open_lines = {line.claim for line in report.lines if line.standing is Standing.NOT_PROVABLE}
    assert any("was not left out" in claim for claim in open_lines)


def test_where_everybody_is_counted_nobody_can_have_been_left_out() -> None:
    claims = {line.claim for line in small().audited().lines if line.standing is Standing.NOT_PROVABLE}
    assert len(claims) == 2
    assert not any("left out" in claim for claim in claims)


def test_an_attempt_before_the_opened_one_is_proven_to_be_closed_for_ever() -> None:
    report = tried_again().audited()
    claims = [line.claim for line in report.lines if line.step == "round 0: setup"]
    assert any(claim.startswith("attempt 0 can never be opened") for claim in claims)


def test_the_transcript_is_the_one_that_the_researcher_believed() -> None:
    attested = {value_of(one).transcript.hex() for one in walked().evidence.attestations}
    claim = line_of(walked().audited(), "transcript").claim
    assert attested == {claim.split()[0]}


def test_a_refused_job_has_its_reasons_by_signature_and_no_sum() -> None:
    report = refused().audited()
    assert report.broken is None
    reasons = [line for line in report.lines if line.step == "verdicts"]
    assert {line.by for line in reasons} == {(party,) for party in PARTIES[:3]}
    assert all(line.standing is Standing.PROVEN and "rule purposes" in line.claim for line in reasons)
    assert not report.figures
    assert "transcript" not in steps(report)


def test_a_job_that_a_party_stopped_has_its_objection_and_no_figure() -> None:
    report = stopped().audited()
    assert report.broken is None
    objection = line_of(report, "objections", Standing.STATED)
    assert objection.by == ("macao",)
    assert "coordinator broke the protocol" in objection.claim
    assert "round 0: total" in steps(report), "what was opened is proven, whoever was shown something else"
    assert not report.figures
    assert any(line.claim == "the job ended: aborted" for line in report.lines)


def test_the_same_job_gives_the_same_evidence_byte_for_byte() -> None:
    story = bereft()
    assert b"".join(story.transport.evidence(story.job_hash)) == story.content


def test_the_steps_are_told_as_they_begin() -> None:
    told: list[str] = []
    small().audited(told=told.append)
    assert told[:3] == ["file", "job", "publications"]
    assert "round 0: total" in told


# --- one chunk alone -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_every_chunk_that_is_added_up_alone_is_the_opened_totals_chunk(name: str) -> None:
    story = STORIES[name]()
    released, _ = story.transport.network.coordinator.released(story.job_hash, RESEARCHER)
    assert len(released) == len(story.evidence.sums)
    for index, release in enumerate(released):
        expected = chunked(release.total)
        for place, words in enumerate(expected):
            report = story.audited(chunk=(index, place))
            assert report.broken is None
            chunk = report.chunk
            assert chunk is not None
            assert chunk.equal
            assert (chunk.round_index, chunk.place, chunk.count) == (index, place, len(expected))
            assert chunk.digest == chunk_hash(words)
            assert chunk.numbers == len(words) // ring.ELEMENT_BYTES
            assert chunk.total_root == merkle.root([chunk_hash(one) for one in expected])
            assert [party for party, _ in chunk.roots] == list(release.parties)
            assert not report.figures


def test_a_chunk_alone_does_not_look_at_the_other_chunks() -> None:
    story = large()
    (of,) = story.evidence.sums
    first, *others = of.contributions
    spoiled = replace(first, chunks=(first.chunks[0], bytes(len(first.chunks[1]))))
    evidence = story.with_sum(0, contributions=(spoiled, *others))
    broken = story.audited(evidence).broken
    assert broken is not None
    assert broken.step == "round 0: vectors"
    for place in (0, 1):  # the path to the signed root goes by the other chunk's hash, so both are found out
        broken = story.audited(evidence, chunk=(0, place)).broken
        assert broken is not None
        assert (broken.step, broken.by) == (f"round 0: chunk {place}", (COORDINATOR,))


@pytest.mark.parametrize("chunk", [(0, 2), (0, 10**8), (1, 0), (10**5, 0)])
def test_a_chunk_that_is_not_there_is_misuse(chunk: tuple[int, int]) -> None:
    with pytest.raises(Misuse, match=r"there is no (chunk|round)"):
        large().audited(chunk=chunk)


def test_a_chunk_of_a_job_that_opened_nothing_is_misuse() -> None:
    with pytest.raises(Misuse, match="no round 0"):
        refused().audited(chunk=(0, 0))


# --- what it is held against -----------------------------------------------------------------------------------------


def test_another_roster_is_said_to_be_another_roster() -> None:
    story = small()
    later = roster_file.convened(story.roster.federation, story.roster.members, after=story.roster)
    with pytest.raises(Refused, match="another roster") as caught:
        audited(story.content, later)
    assert caught.value.rule == "roster"


def test_a_roster_of_other_people_has_no_key_of_it() -> None:
    broken = audited(small().content, walked().roster).broken
    assert broken is not None
    assert broken.step == "job"
    assert "an unknown key" in broken.claim


def test_a_version_of_a_statistic_that_is_not_here_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    story = small()
    monkeypatch.setattr(Count, "version", 7)
    with pytest.raises(Refused) as caught:
        story.audited()
    assert caught.value.rule == "version"


def test_a_protection_that_has_no_audit_is_not_judged() -> None:
    story = small()
    job = replace(value_of(story.evidence.job), protection="noise_sum")
    evidence = replace(story.evidence, job=story.said(RESEARCHER, job, m.JOB))
    with pytest.raises(Refused, match="no audit of protection"):
        audited(encoded(evidence), story.roster)


# --- how it reads ----------------------------------------------------------------------------------------------------


def test_a_report_reads_as_a_table_with_the_figures_and_one_sentence_below() -> None:
    text = small().audited().summary()
    lines = text.splitlines()
    assert lines[0].startswith("evidence of job count-")
    assert lines[1].split() == ["standing", "step", "what", "by"]
    assert lines[-1] == "holds: 16 lines are proven, the others say whose word they are"
    assert "count()" in text
    assert re.search(r"120 +120", text)
    assert max(map(len, lines)) < 200


def test_a_report_in_plain_values_has_every_line_and_no_bytes() -> None:
    found = large().audited(chunk=(0, 1)).to_dict()
    assert found["holds"] is True
    chunk = found["chunk"]
    assert isinstance(chunk, dict)
    assert chunk["equal"] is True
    assert isinstance(found["lines"], list)
    standings = Counter(line["standing"] for line in found["lines"])  # type: ignore[index, call-overload]
    assert standings["proven"] >= 10
    assert set(standings) <= {standing.value for standing in findings.Standing}


def test_a_broken_line_is_the_last_and_the_sentence_names_who_is_to_blame() -> None:
    story = small()
    report = story.audited(replace(story.evidence, attestations=story.evidence.attestations[:2]))
    assert report.lines[-1] == report.broken
    assert report.sentence.startswith("does NOT hold: attestations: expected attestations of at least 3 parties")
    assert report.sentence.endswith(f"to blame: {COORDINATOR}")
    assert report.summary().endswith(report.sentence)
    assert not report.figures


def test_a_line_of_many_parties_names_some_and_counts_the_others() -> None:
    by = tuple(f"p{number}" for number in range(100))
    line = Line(standing=Standing.PROVEN, step="verdicts", claim="permitted this job", by=by)
    report = Report(job="count", job_hash=bytes(32), lines=(line,))
    assert report.rows()[0][3] == "p0, p1, p2, p3, p4, p5, p6 and 93 more"
    assert report.to_dict()["lines"][0]["by"] == list(by)  # type: ignore[index, call-overload]
