"""The replay: a round of support before each round of sums, what it refuses, and the transcript that all agree on."""

from __future__ import annotations

import pytest

from federation.analytics.plan import Done, Plan, together
from federation.analytics.replay import Replay
from federation.domain.job import digest
from federation.errors import JobFailed, Misuse, ProtocolViolation
from federation.jobs import planner
from federation.query.query import SumQuery
from federation.query.round import Phase, Round, round_digest
from tests.analytics.parties import GROUPS, Party, ask, dataset, driven, job, joint_of, opened, party

ROWS = [(age, GROUPS[age % 3], 0.5) for age in range(30)]


def parties(*, k: int = 2, own_figures: bool = False) -> list[Party]:
    return [party(dataset(k=k, own_figures=own_figures), ROWS) for _ in range(3)]


def started(each: list[Party], max_rounds: int = 8) -> Replay:
    return planner.replay(job([ask("count", by="area")], len(each), max_rounds=max_rounds), joint_of(each))


@pytest.mark.parametrize(("own_figures", "phases"), [(False, [Phase.SUPPORT, Phase.SUMS]), (True, [Phase.SUMS])])
def test_support_is_opened_before_the_sums_unless_own_figures_are_published(
    own_figures: bool, phases: list[Phase]
) -> None:
    each = parties(own_figures=own_figures)
    seen: list[tuple[int, Phase]] = []
    replay = driven(started(each), each, joint_of(each), lambda asked, _: seen.append((asked.index, asked.phase)))
    assert seen == list(enumerate(phases))
    assert replay.round is None
    assert replay.rounds_fed == len(phases)
    assert isinstance(replay.results[0], Done)


def test_the_transcript_chains_every_round_and_its_numbers() -> None:
    each = parties()
    rounds: list[tuple[Round, list[int]]] = []
    replay = driven(started(each), each, joint_of(each), lambda *seen: rounds.append(seen))
    chain = digest("federation/transcript/v2")
    everybody = digest("federation/contributors/v1", *(party.encode() for party in replay.contributors))
    for asked, numbers in rounds:
        words = b"".join(number.to_bytes(16, "little", signed=True) for number in numbers)
        chain = digest("federation/transcript/v2", chain, round_digest(asked), everybody, words)
    assert replay.transcript == chain
    assert len(chain) == 32


def test_recovery_is_a_new_replay_on_the_recorded_numbers() -> None:
    each = parties()
    recorded: list[list[int]] = []
    first = driven(started(each), each, joint_of(each), lambda _, numbers: recorded.append(numbers))
    again = started(each)
    for numbers in recorded:
        again.feed(numbers)
    assert (again.transcript, again.results) == (first.transcript, first.results)


def test_another_number_is_another_transcript() -> None:
    each = parties()
    joint = joint_of(each)
    honest, other = started(each), started(each)
    for replay, extra in ((honest, 0), (other, 1)):
        replay.feed(opened(replay.round, each, joint))
        numbers = opened(replay.round, each, joint)
        replay.feed([numbers[0] + extra, *numbers[1:]])
    assert honest.transcript != other.transcript


def test_results_before_the_end_and_numbers_after_it_are_misuse() -> None:
    each = parties()
    replay = started(each)
    with pytest.raises(Misuse):
        _ = replay.results
    driven(replay, each, joint_of(each))
    with pytest.raises(Misuse):
        replay.feed([])


def test_who_is_counted_in_the_first_round_is_counted_in_all_and_stands_in_the_transcript() -> None:
    each = [*parties(), party(dataset(k=2, own_figures=False), ROWS)]
    joint, some = joint_of(each), ("p0", "p1", "p3")
    replay, everybody = started(each), started(each)
    assert replay.contributors == ("p0", "p1", "p2", "p3")
    replay.feed(opened(replay.round, each[1:], joint), some)
    everybody.feed(opened(everybody.round, each, joint))
    assert replay.contributors == some
    assert replay.transcript != everybody.transcript, "equal numbers of others are another transcript"
    replay.feed(opened(replay.round, each[1:], joint))
    (done,) = replay.results
    assert isinstance(done, Done)
    assert (done.result.parties, done.result["sea"].value) == (3, 3 * 10)


SETS: dict[str, tuple[str, ...]] = {
    "nobody": (),
    "an outsider": ("p0", "p1", "p9"),
    "somebody twice": ("p0", "p1", "p1"),
    "another order": ("p1", "p0", "p2"),
    "one more": ("p0", "p1", "p2", "p3", "p4"),
}


@pytest.mark.parametrize("counted", SETS.values(), ids=SETS)
def test_contributors_that_are_no_set_of_the_parties_are_a_violation_and_change_nothing(
    counted: tuple[str, ...],
) -> None:
    each = [*parties(), party(dataset(k=2, own_figures=False), ROWS)]
    replay = started(each)
    before = (replay.transcript, replay.round, replay.contributors)
    with pytest.raises(ProtocolViolation, match="contributors of before"):
        replay.feed(opened(replay.round, each, joint_of(each)), counted)
    assert (replay.transcript, replay.round, replay.contributors) == before


@pytest.mark.parametrize("counted", [("p0", "p1"), ("p0", "p1", "p2"), ("p0", "p1", "p2", "p3"), ("p1", "p0", "p3")])
def test_another_set_in_a_later_round_is_a_violation_and_changes_nothing(counted: tuple[str, ...]) -> None:
    each = [*parties(), party(dataset(k=2, own_figures=False), ROWS)]
    joint = joint_of(each)
    replay = started(each)
    replay.feed(opened(replay.round, each[1:], joint), ("p0", "p1", "p3"))
    before = (replay.transcript, replay.round, replay.contributors)
    with pytest.raises(ProtocolViolation, match="contributors of before"):
        replay.feed(opened(replay.round, each[1:], joint), counted)
    assert (replay.transcript, replay.round, replay.contributors) == before


def test_numbers_that_do_not_fit_their_contributors_leave_the_set_what_it_was() -> None:
    each = [*parties(), party(dataset(k=2, own_figures=False), ROWS[:1])]
    replay = started(each)
    with pytest.raises(ProtocolViolation, match="flags"):
        replay.feed([4, *opened(replay.round, each, joint_of(each))[1:]], ("p0", "p1", "p2"))
    assert replay.contributors == ("p0", "p1", "p2", "p3")


@pytest.mark.parametrize("phase", [Phase.SUPPORT, Phase.SUMS])
@pytest.mark.parametrize(
    "lie",
    ["short", "long", "negative flag", "more flags than parties", "129 bits"],
)
def test_what_honest_vectors_cannot_add_up_to_is_a_violation_and_changes_nothing(phase: Phase, lie: str) -> None:
    each = parties()
    joint = joint_of(each)
    replay = started(each)
    if phase is Phase.SUMS:
        replay.feed(opened(replay.round, each, joint))
    honest = opened(replay.round, each, joint)
    wrong = {
        "short": honest[:-1],
        "long": [*honest, 0],
        "negative flag": [*honest[:-1], -1],
        "more flags than parties": [*honest[:-1], 4],
        "129 bits": [*honest[:-1], 2**127],
    }[lie]
    before = (replay.transcript, replay.round)
    with pytest.raises(ProtocolViolation) as caught:
        replay.feed(wrong)
    assert caught.value.party == "one of the parties"
    assert (replay.transcript, replay.round) == before
    assert isinstance(driven(replay, each, joint).results[0], Done)


def test_flags_other_than_the_support_rounds_are_a_violation() -> None:
    small = [(1, "sea", 0.5)]
    each = [*parties(), party(dataset(k=2, own_figures=False), small)]
    joint = joint_of(each)
    replay = started(each)
    replay.feed(opened(replay.round, each, joint))
    honest = opened(replay.round, each, joint)
    place = len(honest) - 5  # flags of three cells and two counts stand last
    assert honest[place:] == [1, 1, 1, 0, 0], "each area is withheld by the small party, both counts are closed"
    with pytest.raises(ProtocolViolation, match="support"):
        replay.feed([*honest[:place], 0, *honest[place + 1 :]])


def test_a_number_in_a_closed_row_is_a_violation() -> None:
    each = [*parties()[:2], party(dataset(k=2, own_figures=False), ROWS[:2])]
    joint = joint_of(each)
    replay = started(each)
    replay.feed(opened(replay.round, each, joint))
    honest = opened(replay.round, each, joint)
    assert not any(honest)
    with pytest.raises(ProtocolViolation, match="closed"):
        replay.feed([7, *honest[1:]])


def endless(joint_name: str) -> Plan[None]:
    while True:
        yield (SumQuery(dataset=joint_name),)


@pytest.mark.parametrize("own_figures", [True, False])
def test_no_plan_asks_more_rounds_than_the_job_allows(own_figures: bool) -> None:
    each = parties(own_figures=own_figures)
    joint = joint_of(each)
    replay = Replay(together([endless("people")]), joint, parties=("a", "b", "c"), max_rounds=3)
    with pytest.raises(JobFailed, match="3 rounds"):  # at the next question, or when somebody reads the results
        _ = driven(replay, each, joint).results
    assert replay.rounds_fed == 3
    assert replay.round is None
    with pytest.raises(JobFailed, match="0 rounds"):
        Replay(together([endless("people")]), joint, parties=("a", "b", "c"), max_rounds=0)
