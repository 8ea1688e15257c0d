"""An audit of sums under a joint key computes product, proofs and figures again, and names what does not hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clients.local.federation import COORDINATOR, RESEARCHER
from clients.researcher.audit import audited
from clients.researcher.findings import Report, Standing
from federation.crypto.chunk_hash import chunk_hash
from federation.crypto.paillier.threshold import dealt
from federation.errors import Misuse
from federation.ledger import merkle
from federation.protocols.paillier_sum import checks
from federation.wire import messages as m
from federation.wire.evidence import Contribution, Evidence, KeyedSum, encoded
from tests.researcher.evidences import PARTIES, Story, keyed, keyed_walked, small, value_of, walked

THREE = PARTIES[:3]


def steps(report: Report, standing: Standing = Standing.PROVEN) -> set[str]:
    return {line.step for line in report.lines if line.standing is standing}


def broken(report: Report) -> tuple[str, tuple[str, ...]]:
    assert report.broken is not None
    assert not report.figures
    assert report.receipt is None
    return report.broken.step, report.broken.by


def first(story: Story) -> KeyedSum:
    of = story.evidence.sums[0]
    assert isinstance(of, KeyedSum)
    return of


@pytest.mark.parametrize("made", [keyed, keyed_walked])
def test_honest_evidence_holds_and_gives_the_researchers_figures_again(made: Any) -> None:
    story: Story = made()
    report = story.audited()
    assert report.broken is None
    assert [figure.table for figure in report.figures] == list(story.answers) != []
    chain = ("setup", "readies", "ciphertexts", "product", "answers", "total")
    sums = {f"round {index}: {step}" for index in range(len(story.evidence.sums)) for step in chain}
    rest = {"file", "job", "key", "publications", "verdicts", "transcript", "attestations", "figures"}
    assert steps(report) == sums | rest
    assert report.receipt == story.receipt
    assert b"".join(story.transport.evidence(story.job_hash)) == story.content


def test_the_walked_story_has_rounds_of_support_and_several_sums() -> None:
    assert len(keyed_walked().evidence.sums) >= 3


def test_masked_evidence_of_the_same_questions_gives_the_same_figures_and_transcript() -> None:
    masked, under_key = walked().audited(), keyed_walked().audited()
    assert masked.figures == under_key.figures
    assert masked.receipt is not None
    assert under_key.receipt is not None
    assert masked.receipt.transcript == under_key.receipt.transcript
    assert masked.receipt.figures == under_key.receipt.figures


def test_a_development_key_is_called_one() -> None:
    report = keyed().audited()
    (line,) = [line for line in report.lines if line.step == "key" and line.standing is Standing.NOT_PROVABLE]
    assert "development key: its dealer could read everything" in line.claim
    assert report.receipt is not None
    assert report.receipt.trust == "development key: its dealer could read everything"
    assert "development key" in report.receipt.summary()


def test_a_sum_under_a_joint_key_has_no_chunk_that_is_checked_alone() -> None:
    with pytest.raises(Misuse, match="checked whole"):
        keyed().audited(chunk=(0, 0))


# --- what does not hold ----------------------------------------------------------------------------------------------


def certified_by(story: Story, joint: bytes, *names: str) -> Evidence:
    value: Any = value_of(story.evidence.certificate[0])
    value = replace(value, joint_key=joint)
    return replace(story.evidence, certificate=tuple(story.said(name, value, m.KEY_CERTIFICATE) for name in names))


def test_a_certificate_that_lacks_a_holder_or_is_of_another_key_is_noticed() -> None:
    story = keyed()
    other, _ = dealt(512, THREE, b"o" * 32)
    own = value_of(story.evidence.certificate[0]).joint_key
    for evidence in (
        replace(story.evidence, certificate=()),
        certified_by(story, own, *THREE[:2]),
        certified_by(story, other.to_bytes(), *THREE),
    ):
        assert broken(story.audited(evidence)) == ("key", (COORDINATOR,))


def test_a_certificate_beside_a_masked_job_is_noticed() -> None:
    story = small()
    evidence = replace(story.evidence, certificate=keyed().evidence.certificate)
    assert broken(story.audited(evidence))[1] == (COORDINATOR,)


def test_sums_of_another_protection_than_the_jobs_are_noticed() -> None:
    story = keyed()
    evidence = replace(story.evidence, sums=small().evidence.sums)
    assert broken(story.audited(evidence)) == ("round 0: setup", (COORDINATOR,))
    evidence = replace(small().evidence, sums=story.evidence.sums)
    assert broken(small().audited(evidence)) == ("round 0: setup", (COORDINATOR,))


def test_a_job_that_names_a_key_without_summing_under_it_is_the_researchers_fault() -> None:
    story = keyed()
    job = replace(value_of(story.evidence.job), protection="masked_sum")
    evidence = replace(story.evidence, job=story.said(RESEARCHER, job, m.JOB))
    assert broken(audited(encoded(evidence), story.roster)) == ("job", (RESEARCHER,))


def spoiled(story: Story, kind: str, name: str, **changes: Any) -> Evidence:
    """The evidence with one contribution whose chunks are another's, under a root and a signature of its owner's."""
    mine = list(getattr(first(story), kind))
    place = next(i for i, one in enumerate(mine) if story.who(one.head) == name)
    others = mine[place - 1]
    said = replace(value_of(mine[place].head), chunk_root=merkle.root([chunk_hash(c) for c in others.chunks]))
    mine[place] = Contribution(head=story.said(name, replace(said, **changes)), chunks=others.chunks)
    return story.with_sum(0, **{kind: tuple(mine)})


@pytest.mark.parametrize(("kind", "step"), [("ciphers", "ciphertexts"), ("partials", "answers")])
@pytest.mark.parametrize("name", THREE)
def test_what_somebody_copied_from_another_party_is_his_fault(kind: str, step: str, name: str) -> None:
    """His signature and his root stand under another party's ciphertexts or answers: only the proof tells."""
    story = keyed()
    assert broken(story.audited(spoiled(story, kind, name))) == (f"round 0: {step}", (name,))


def test_an_audit_without_proofs_would_take_what_was_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: nobody looks at the proofs of ciphertexts, so that another product is called everybody's."""
    story = keyed()
    evidence = spoiled(story, "ciphers", "macao")
    monkeypatch.setattr(checks, "known", lambda *_: None)
    assert story.audited(evidence).broken is not None
    step, _ = broken(story.audited(evidence))
    assert step == "round 0: answers", "one step later than with proofs"


def test_chunks_that_are_not_under_their_owners_root_are_the_files_fault() -> None:
    story = keyed()
    for kind in ("ciphers", "partials"):
        mine = list(getattr(first(story), kind))
        mine[0] = replace(mine[0], chunks=mine[1].chunks)
        step, by = broken(story.audited(story.with_sum(0, **{kind: tuple(mine)})))
        assert step.startswith("round 0")
        assert by == (COORDINATOR,)


def test_somebody_who_is_left_out_is_noticed() -> None:
    story = keyed()
    of = first(story)
    for kind in ("readies", "ciphers", "partials"):
        assert broken(story.audited(story.with_sum(0, **{kind: getattr(of, kind)[:2]})))[1] == (COORDINATOR,)


def test_answers_of_an_earlier_sum_open_nothing() -> None:
    story = keyed_walked()
    sums = story.evidence.sums
    assert isinstance(sums[0], KeyedSum)
    replayed = story.with_sum(1, partials=sums[0].partials)
    assert broken(story.audited(replayed))[0] == "round 1: answers"
    replayed = story.with_sum(1, ciphers=sums[0].ciphers)
    assert broken(story.audited(replayed))[0] == "round 1: ciphertexts"
