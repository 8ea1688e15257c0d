"""Evidence that lies: every lie is found, at the step where it is told, and the one who told it is named.

The liar is a coordinator that signs again whatever it may sign (openings, how a job ended), somebody who had the file
in between and can sign nothing, or a party that signs one thing here and another thing there. The file's form is always
right: what is refused here is refused for what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clients.local.federation import COORDINATOR, RESEARCHER
from clients.researcher.findings import Line, Standing
from federation.domain.job import State
from federation.domain.verdict import Reason, Verdict
from federation.ledger import merkle
from federation.protocols.masked_sum import auditing, checks
from federation.protocols.masked_sum.messages import Consent, Head
from federation.wire import messages as m
from federation.wire.evidence import Contribution, Evidence
from tests.researcher.evidences import (
    STORIES,
    Story,
    bereft,
    large,
    refused,
    small,
    stopped,
    tried_again,
    value_of,
    walked,
)

PARTY = "guangdong"


def broken(story: Story, evidence: Evidence, **more: Any) -> Line:
    """The line that an audit ends with."""
    found = story.audited(evidence, **more).broken
    assert found is not None, "nobody saw it"
    return found


def spoiled(chunk: bytes, place: int = 3) -> bytes:
    """The chunk with one bit of one word turned."""
    return chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]


def with_chunks(story: Story, change: Callable[[dict[str, list[bytes]]], None], index: int = 0) -> Evidence:
    """The evidence with the vectors of one sum changed, party by party."""
    contributions = story.evidence.sums[index].contributions
    vectors = {story.who(one.head): list(one.chunks) for one in contributions}
    change(vectors)
    changed = tuple(replace(one, chunks=tuple(vectors[story.who(one.head)])) for one in contributions)
    return story.with_sum(index, contributions=changed)


# --- vectors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_a_word_altered_in_a_masked_vector_is_found(name: str) -> None:
    story = STORIES[name]()
    for index, of in enumerate(story.evidence.sums):
        for one in of.contributions:
            party = story.who(one.head)

            def alter(vectors: dict[str, list[bytes]], party: str = party) -> None:
                vectors[party][-1] = spoiled(vectors[party][-1])

            found = broken(story, with_chunks(story, alter, index))
            assert (found.step, found.by) == (f"round {index}: vectors", (COORDINATOR,))
            assert f"in the vector of {party}" in found.claim


def test_a_word_altered_is_found_although_the_coordinator_signs_the_total_that_follows() -> None:
    story = small()

    def alter(vectors: dict[str, list[bytes]]) -> None:
        vectors[PARTY][0] = spoiled(vectors[PARTY][0])

    found = broken(story, story.opened_anew(with_chunks(story, alter)))
    assert (found.step, found.by) == ("round 0: vectors", (COORDINATOR,))


@pytest.mark.parametrize(
    "way", ["two chunks of a party", "a chunk of two parties", "two vectors", "one more", "one less"]
)
def test_chunks_that_are_swapped_doubled_or_left_out_are_found(way: str) -> None:
    story = large()

    def swap(vectors: dict[str, list[bytes]]) -> None:
        mine, theirs = vectors[PARTY], vectors["macao"]
        match way:
            case "two chunks of a party":
                mine.reverse()
            case "a chunk of two parties":
                mine[0], theirs[0] = theirs[0], mine[0]
            case "two vectors":
                vectors[PARTY], vectors["macao"] = theirs, mine
            case "one more":
                mine.append(mine[0])
            case _:
                del mine[1]

    evidence = with_chunks(story, swap)
    found = broken(story, evidence)
    assert (found.step, found.by) == ("round 0: vectors", (COORDINATOR,))
    alone = broken(story, evidence, chunk=(0, 0))
    assert (alone.step, alone.by) == ("round 0: chunk 0", (COORDINATOR,))


def test_the_planted_fault_of_an_audit_that_looks_at_no_root_leaves_only_what_was_signed_of_the_total(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = small()

    def alter(vectors: dict[str, list[bytes]]) -> None:
        vectors[PARTY][0] = spoiled(vectors[PARTY][0], 0)  # the count, by one

    evidence = with_chunks(story, alter)
    monkeypatch.setattr(auditing, "rooted", lambda *_: None)
    found = broken(story, evidence)
    assert (found.step, found.by) == ("round 0: total", (COORDINATOR,))
    assert broken(story, story.opened_anew(evidence)).step == "attestations", "the parties signed another transcript"


# --- who is counted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anew", [False, True])
def test_a_party_that_is_left_out_of_the_sum_is_missed(*, anew: bool) -> None:
    story = bereft()
    of = story.evidence.sums[0]
    fewer = tuple(one for one in of.contributions if story.who(one.head) != PARTY)
    evidence = story.with_sum(0, contributions=fewer)
    found = broken(story, story.opened_anew(evidence) if anew else evidence)
    assert (found.step, found.by) == ("round 0: contributors", (COORDINATOR,)), "fewer than the job asks for"


def test_a_party_that_is_left_out_where_fewer_were_enough_breaks_the_consents() -> None:
    story = tried_again()  # five are counted where four are enough
    of = story.evidence.sums[0]
    fewer = tuple(one for one in of.contributions if story.who(one.head) != PARTY)
    for evidence in (
        story.with_sum(0, contributions=fewer),
        story.opened_anew(story.with_sum(0, contributions=fewer)),
    ):
        found = broken(story, evidence)
        assert (found.step, found.by) == ("round 0: consents", (COORDINATOR,))
        assert "consent to this list" in found.claim


def test_a_party_that_is_counted_twice_is_found() -> None:
    story = small()
    of = story.evidence.sums[0]
    head = story.of(PARTY, [one.head for one in of.contributions])
    said: Any = value_of(head)
    second = story.said(PARTY, replace(said, number=said.number + 1))  # it signs two heads
    evidence = story.with_sum(0, contributions=(*of.contributions, Contribution(head=second, chunks=(bytes(16),))))
    found = broken(story, evidence)
    assert (found.step, found.by) == ("round 0: contributors", (COORDINATOR,))
    assert f"two of {PARTY}" in found.claim


def test_consents_to_another_list_are_found_although_everybody_signed_them() -> None:
    story = small()
    of = story.evidence.sums[0]
    other = tuple(
        story.said(story.who(one), replace(value_of(one), u3_hash=b"another list".ljust(32))) for one in of.consents
    )
    found = broken(story, story.with_sum(0, consents=other))
    assert (found.step, found.by) == ("round 0: consents", (COORDINATOR,))


def test_an_opening_of_another_list_is_found() -> None:
    story = small()
    for changes in ({"u3_hash": b"another list".ljust(32)}, {"spec_hash": b"another spec".ljust(32)}):
        found = broken(story, story.with_sum(0, opening=story.opening(0, **changes)))
        assert (found.step, found.by) == ("round 0: opening", (COORDINATOR,))


def test_a_forged_consent_is_found() -> None:
    story = small()
    of = story.evidence.sums[0]
    honest = story.of(PARTY, of.consents)
    forger = story.signers[COORDINATOR]
    forged = replace(honest, signature=forger.sign(Consent.domain, honest.body))
    others = story.without(PARTY, of.consents)
    found = broken(story, story.with_sum(0, consents=(*others, forged)))
    assert (found.step, found.by) == ("round 0: consents", (COORDINATOR,))
    assert f"a signature by {PARTY}" in found.claim
    in_its_name = story.said("macao", value_of(honest))  # another party, in this one's name
    found = broken(story, story.with_sum(0, consents=(*story.without("macao", others), in_its_name)))
    assert (found.step, found.by) == ("round 0: consents", ("macao",))
    assert "in another member's name" in found.claim


def test_fewer_consents_than_make_a_list_the_only_one_are_too_few() -> None:
    story = bereft()
    of = story.evidence.sums[0]
    found = broken(story, story.with_sum(0, consents=of.consents[:3]))
    assert (found.step, found.by) == ("round 0: consents", (COORDINATOR,))
    assert "at least 4 parties" in found.claim


def test_the_planted_fault_of_an_audit_that_takes_any_consent_lets_another_list_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = small()
    of = story.evidence.sums[0]
    other = tuple(story.said(story.who(one), replace(value_of(one), u3_hash=bytes(32))) for one in of.consents)
    monkeypatch.setattr(checks, "consent", lambda *_: None)
    assert story.audited(story.with_sum(0, consents=other)).broken is None


# --- what was opened -------------------------------------------------------------------------------------------------


def test_a_seed_that_is_replaced_is_found() -> None:
    story = small()
    seeds = value_of(story.evidence.sums[0].opening).seeds
    lies = [(bytes(32), *seeds[1:]), (seeds[1], seeds[0], seeds[2]), seeds[:2], (*seeds, seeds[0]), ()]
    for lie in lies:
        found = broken(story, story.with_sum(0, opening=story.opening(0, seeds=lie)))
        assert (found.step, found.by) == ("round 0: opening", (COORDINATOR,))


def test_the_key_of_a_lost_party_that_is_replaced_or_left_out_is_found() -> None:
    story = bereft()
    (key,) = value_of(story.evidence.sums[0].opening).keys
    for lie in ((bytes(range(32)),), (), (key, key)):
        found = broken(story, story.with_sum(0, opening=story.opening(0, keys=lie)))
        assert (found.step, found.by) == ("round 0: opening", (COORDINATOR,))


@pytest.mark.parametrize("name", STORIES)
def test_a_total_that_is_changed_is_found(name: str) -> None:
    story = STORIES[name]()
    for index, of in enumerate(story.evidence.sums):
        root = merkle.root([b"another total".ljust(32)])
        found = broken(story, story.with_sum(index, opening=story.opening(index, total_root=root)))
        assert (found.step, found.by) == (f"round {index}: total", (COORDINATOR,))
        leaves = [b"another total".ljust(32), *of.total_leaves[1:]]
        lie = story.opening(index, total_root=merkle.root(leaves))
        evidence = story.with_sum(index, opening=lie, total_leaves=tuple(leaves))
        assert broken(story, evidence).step == f"round {index}: total"
        alone = story.audited(evidence, chunk=(index, 0))
        assert alone.broken is not None
        assert alone.broken.by == (COORDINATOR,)
        assert alone.chunk is not None
        assert not alone.chunk.equal


def test_leaf_hashes_that_are_not_the_totals_are_found_also_where_they_have_its_root() -> None:
    story = large()
    leaves = story.evidence.sums[0].total_leaves
    for lie in (leaves[::-1], leaves[:1], (), (*leaves, leaves[0]), (merkle.root(leaves),)):
        evidence = story.with_sum(0, total_leaves=lie)
        assert broken(story, evidence).step == "round 0: total"
        assert broken(story, evidence, chunk=(0, 0)).step == "round 0: chunk 0"


def test_an_opening_that_somebody_else_signed_is_found() -> None:
    story = small()
    said = value_of(story.evidence.sums[0].opening)
    found = broken(story, story.with_sum(0, opening=story.said(PARTY, said)))
    assert (found.step, found.by) == ("round 0: opening", (PARTY,))


# --- keys and shares -------------------------------------------------------------------------------------------------


def test_keys_or_shares_that_are_left_out_exchanged_or_copied_are_found() -> None:
    story = small()
    of = story.evidence.sums[0]
    advert: Any = value_of(story.of("macao", of.adverts))
    own: Any = value_of(story.of(PARTY, of.adverts))
    others = story.without("macao", of.adverts)
    copied = story.said("macao", replace(advert, mask_pk=own.mask_pk))
    unsound = story.said("macao", replace(advert, mask_pk=bytes(32)))
    for evidence, step, culprit in (
        (story.with_sum(0, adverts=others), "keys", COORDINATOR),
        (story.with_sum(0, adverts=(*others, copied)), "keys", COORDINATOR),
        (story.with_sum(0, adverts=(*others, unsound)), "keys", "macao"),
        (story.with_sum(0, shares=story.without("macao", of.shares)), "shares", COORDINATOR),
        (story.with_sum(0, shares=walked().evidence.sums[0].shares), "shares", COORDINATOR),
    ):
        found = broken(story, evidence)
        assert (found.step, found.by) == (f"round 0: {step}", (culprit,))


def test_a_commitment_that_is_changed_afterwards_changes_what_every_head_is_bound_to() -> None:
    story = small()
    of = story.evidence.sums[0]
    said: Any = value_of(story.of("macao", of.shares))
    anew = story.said("macao", replace(said, commitment=bytes(32)))
    found = broken(story, story.with_sum(0, shares=(*story.without("macao", of.shares), anew)))
    assert (found.step, found.by) == ("round 0: contributors", (COORDINATOR,))


def test_a_head_of_another_plan_is_its_signers_doing() -> None:
    story = small()
    of = story.evidence.sums[0]
    (mine,) = [one for one in of.contributions if story.who(one.head) == PARTY]
    others = tuple(one for one in of.contributions if one is not mine)
    said: Head = value_of(mine.head)
    for changes in ({"spec_hash": bytes(32)}, {"length": said.length + 1}):
        anew = replace(mine, head=story.said(PARTY, replace(said, **changes)))  # type: ignore[arg-type]
        found = broken(story, story.with_sum(0, contributions=(*others, anew)))
        assert (found.step, found.by) == ("round 0: contributors", (PARTY,))


# --- rounds and attempts ---------------------------------------------------------------------------------------------


def test_sums_that_are_left_out_swapped_doubled_or_of_another_job_are_found() -> None:
    story, other = walked(), small()
    sums = story.evidence.sums
    for changed, step in (
        (sums[:-1], "attestations"),
        (sums[1:], "round 0: keys"),
        ((sums[1], sums[0], *sums[2:]), "round 0: keys"),
        ((*sums, sums[-1]), f"round {len(sums)}: setup"),
        ((*other.evidence.sums, *sums[1:]), "round 0: keys"),
        ((), "attestations"),
    ):
        found = broken(story, replace(story.evidence, sums=changed))
        assert (found.step, found.by) == (step, (COORDINATOR,))


def test_another_attempt_than_the_one_that_was_opened_is_found() -> None:
    for story in (small(), bereft(), tried_again()):
        for index, of in enumerate(story.evidence.sums):
            for attempt in {0, 1, 2, 5, 2**32 - 1} - {of.attempt}:
                found = broken(story, story.with_sum(index, attempt=attempt))
                assert (found.step, found.by) == (f"round {index}: setup", (COORDINATOR,))


def test_an_attempt_whose_elders_were_not_withdrawn_by_enough_is_found() -> None:
    story = tried_again()
    words = story.evidence.sums[0].withdrawals
    said = value_of(words[0])
    of_another_sum = story.said(PARTY, replace(said, party=PARTY, setup_hash=bytes(32)))
    for changed, culprit in (
        ((), COORDINATOR),
        (words[1:], COORDINATOR),
        ((*words, of_another_sum), COORDINATOR),
        ((*words[1:], story.said(RESEARCHER, said)), RESEARCHER),
    ):
        found = broken(story, story.with_sum(0, withdrawals=changed))
        assert (found.step, found.by) == ("round 0: setup", (culprit,))


def test_withdrawals_where_nothing_was_withdrawn_are_found() -> None:
    words = tried_again().evidence.sums[0].withdrawals
    story = small()
    mine = tuple(story.said(party, replace(value_of(words[0]), party=party)) for party in ("guangdong", "macao"))
    found = broken(story, story.with_sum(0, withdrawals=mine))
    assert (found.step, found.by) == ("round 0: setup", (COORDINATOR,))


# --- the job around the sums -----------------------------------------------------------------------------------------


def test_the_evidence_of_another_job_is_not_that_of_this_one() -> None:
    story, other = small(), walked()
    found = story.audited(job_hash=other.job_hash).broken
    assert found is not None
    assert (found.step, found.by) == ("job", (COORDINATOR,))
    assert "that of another job" in found.claim


def test_a_job_that_somebody_else_signed_or_that_says_something_else_is_found() -> None:
    story = small()
    job = value_of(story.evidence.job)
    forged = replace(story.evidence, job=story.said(COORDINATOR, job, m.JOB))
    assert broken(story, forged).by == (COORDINATOR,)
    other = replace(story.evidence, job=story.said(RESEARCHER, replace(job, where="x > 3"), m.JOB))
    found = story.audited(other, job_hash=None).broken
    assert found is not None
    assert found.step == "end", "everything else is signed for the job that it was"
    assert broken(story, other).step == "job"


def test_publications_that_are_left_out_replaced_or_too_many_are_found() -> None:
    story = small()
    own = story.evidence.publications
    said = value_of(own[0])
    name = story.who(own[0])
    other = story.said(name, replace(said, dataset=replace(said.dataset, k=99)), m.PUBLICATION)
    for changed in (own[:2], own[1:], (other, *own[1:]), (*own, other), ()):
        found = broken(story, replace(story.evidence, publications=changed))
        assert (found.step, found.by) == ("publications", (COORDINATOR,))


def test_a_job_that_went_on_without_everybodys_permission_is_found() -> None:
    story = small()
    verdicts = story.evidence.verdicts
    others = story.without(PARTY, verdicts)
    says_no = Verdict(party=PARTY, job_hash=story.job_hash, reasons=(Reason(rule="k", clause="too few"),))
    no = story.said(PARTY, says_no, m.VERDICT)
    outsider = story.said(PARTY, replace(says_no, job_hash=walked().job_hash), m.VERDICT)
    for changed, culprit in (
        ((), COORDINATOR),
        (others, COORDINATOR),
        ((*others, no), COORDINATOR),
        ((*verdicts, no), PARTY),
        ((*others, outsider), COORDINATOR),
    ):
        found = broken(story, replace(story.evidence, verdicts=changed))
        assert (found.step, found.by) == ("verdicts", (culprit,))


def test_attestations_that_are_too_few_or_of_another_job_are_found() -> None:
    story, other = small(), walked()
    own = story.evidence.attestations
    foreign = story.said(PARTY, replace(value_of(own[0]), party=PARTY, job_hash=other.job_hash), m.ATTESTATION)
    for changed in ((), own[:2], (*story.without(PARTY, own), foreign)):
        found = broken(story, replace(story.evidence, attestations=changed))
        assert (found.step, found.by) == ("attestations", (COORDINATOR,))


def test_a_party_that_signed_another_transcript_is_named() -> None:
    story = small()
    own = story.evidence.attestations
    said = replace(value_of(story.of(PARTY, own)), transcript=bytes(32))
    changed = (*story.without(PARTY, own), story.said(PARTY, said, m.ATTESTATION))
    found = broken(story, replace(story.evidence, attestations=changed))
    assert (found.step, found.by) == ("attestations", (PARTY,))


def test_an_attestation_by_somebody_who_is_not_counted_is_found() -> None:
    story = bereft()
    own = story.evidence.attestations
    said = replace(value_of(own[0]), party="macao")
    found = broken(story, replace(story.evidence, attestations=(*own, story.said("macao", said, m.ATTESTATION))))
    assert (found.step, found.by) == ("attestations", (COORDINATOR,))


def test_how_a_job_ended_is_the_coordinators_word_and_must_fit_what_is_there() -> None:
    story = small()
    ended = value_of(story.evidence.ended)
    aborted = story.said(COORDINATOR, replace(ended, state=State.ABORTED), m.ENDED)
    report = story.audited(replace(story.evidence, ended=aborted))
    assert report.broken is None
    assert not report.figures, "what was not released is not shown as a figure"
    (line,) = [line for line in report.lines if "the job ended" in line.claim]
    assert (line.standing, line.by, line.claim) == (Standing.STATED, (COORDINATOR,), "the job ended: aborted")
    other_job = {"job_hash": walked().job_hash}
    for changes, step in (({"rounds": 2}, "attestations"), ({"rounds": 0}, "attestations"), (other_job, "end")):
        lie = story.said(COORDINATOR, replace(ended, **changes), m.ENDED)
        found = broken(story, replace(story.evidence, ended=lie))
        assert (found.step, found.by) == (step, (COORDINATOR,))


@pytest.mark.parametrize("told", [refused, stopped])
def test_a_job_that_failed_cannot_be_said_to_be_released(told: Callable[[], Story]) -> None:
    story = told()
    ended = replace(value_of(story.evidence.ended), state=State.RELEASED)
    found = broken(story, replace(story.evidence, ended=story.said(COORDINATOR, ended, m.ENDED)))
    assert found.by == (COORDINATOR,)
    assert found.step in ("verdicts", "attestations")


def test_an_objection_to_another_job_is_found() -> None:
    story, other = stopped(), small()
    (objection,) = story.evidence.objections
    said = replace(value_of(objection), job_hash=other.job_hash)
    found = broken(story, replace(story.evidence, objections=(story.said("macao", said, m.OBJECTION),)))
    assert (found.step, found.by) == ("objections", (COORDINATOR,))


# --- signatures ------------------------------------------------------------------------------------------------------

GROUPS = ("publications", "verdicts", "attestations")
OF_A_SUM = ("adverts", "shares", "consents", "withdrawals")


def stripped(story: Story, change: Callable[[m.Signed], m.Signed]) -> list[tuple[str, Evidence]]:
    """Every evidence in which one message is changed."""
    evidence = story.evidence
    out = [
        ("job", replace(evidence, job=change(evidence.job))),
        ("end", replace(evidence, ended=change(evidence.ended))),
    ]
    for group in GROUPS:
        messages = getattr(evidence, group)
        out += [
            (group, replace(evidence, **{group: (*messages[:i], change(one), *messages[i + 1 :])}))
            for i, one in enumerate(messages)
        ]
    for index, of in enumerate(evidence.sums):
        for group in OF_A_SUM:
            messages = getattr(of, group)
            out += [
                (group, story.with_sum(index, **{group: (*messages[:i], change(one), *messages[i + 1 :])}))
                for i, one in enumerate(messages)
            ]
        heads = of.contributions
        out += [
            (
                "heads",
                story.with_sum(index, contributions=(*heads[:i], replace(one, head=change(one.head)), *heads[i + 1 :])),
            )
            for i, one in enumerate(heads)
        ]
        out.append(("opening", story.with_sum(index, opening=change(of.opening))))
    return out


@pytest.mark.parametrize("name", ["small", "bereft", "tried again"])
@pytest.mark.parametrize("way", ["none", "zeros", "of another message", "an unknown key"])
def test_a_message_whose_signature_is_stripped_is_found_wherever_it_stands(name: str, way: str) -> None:
    story = STORIES[name]()
    signature = story.signers[COORDINATOR].sign("federation/other/v1", b"other")

    def change(message: m.Signed) -> m.Signed:
        match way:
            case "none":
                return replace(message, signature=b"")
            case "zeros":
                return replace(message, signature=bytes(64))
            case "of another message":
                return replace(message, signature=signature)
            case _:
                return replace(message, key_id=bytes(16))

    changed = stripped(story, change)
    assert len(changed) >= 20
    for place, evidence in changed:
        found = broken(story, evidence)
        assert found.by == (COORDINATOR,), place
        assert "signature" in found.claim or "an unknown key" in found.claim, place
