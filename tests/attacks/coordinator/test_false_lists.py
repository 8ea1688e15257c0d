"""A malicious coordinator lies about who is counted: two lists, short ones, and consents that do not belong to them.

Five parties, of whom one may be missing and any two may conspire with it. A sum that opens over two lists shows the
difference of the two: one party's figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from clients.jurisdiction.sums import secrets_of
from federation.domain.job import State
from federation.protocols.masked_sum import checks
from federation.protocols.masked_sum.messages import Consent, Head, Unmask
from federation.wire import convert
from federation.wire import messages as m
from tests.attacks.coordinator.relay import bundle_in, chunks_of, framed, sender_of, step_of
from tests.coordinator.stage import COORDINATOR, PARTIES, Stage, begun

FIVE = PARTIES[:5]
ONE, OTHER = FIVE[:4], FIVE[1:]  # without zhuhai, and without guangdong


def listing(bundle: m.Bundle, parties: Sequence[str]) -> m.Bundle:
    """The bundle with the messages of these only."""
    messages = tuple(message for message in bundle.messages if sender_of(message) in parties)
    return replace(bundle, messages=messages, chunk_counts=(0,) * len(messages))


@dataclass
class Lists:
    """A link that shows every party the heads of some, and gathers what they consent to.

    Attributes:
        shown: party -> who is counted, as it is told.
        heads: the honest bundle of all heads.
        consents: what each party signed.
    """

    shown: dict[str, Sequence[str]]
    heads: list[m.Bundle] = field(default_factory=list)
    consents: dict[str, m.Signed] = field(default_factory=dict)

    def __call__(self, way: str, party: str, frame: m.Frame) -> Sequence[m.Frame]:
        bundle = bundle_in(frame)
        if way == "out" and bundle is not None and step_of(bundle) == "heads":
            self.heads.append(bundle)
            shown = listing(bundle, self.shown.get(party, FIVE))
            return (framed(shown, chunks_of(shown, frame)),)
        if way == "in" and frame.signed.domain == Consent.domain:
            self.consents[party] = frame.signed
            return ()
        return (frame,)

    def agreed(self, parties: Sequence[str]) -> m.Frame:
        """A bundle of the consents of these."""
        messages = tuple(self.consents[party] for party in parties)
        return framed(
            replace(self.heads[0], messages=messages, chunk_counts=(0,) * len(messages)), [()] * len(messages)
        )


def told(lists: Lists) -> tuple[Stage, bytes]:
    """A job whose parties have all answered, as far as they go with the lists that they are shown."""
    stage = Stage(names=FIVE, k=1, own_figures=True, link=lists)
    _, job_hash = begun(stage)
    stage.settle()
    return stage, job_hash


def answers(stage: Stage, frame: m.Frame, parties: Sequence[str]) -> dict[str, str]:
    """What each of them answers to a bundle: "unmask", or whom its objection names."""
    found = {}
    for party in parties:
        (answer,) = stage.jurisdictions[party].receive(frame)
        value = convert.BODIES[answer.signed.domain].decode(answer.signed.body)
        found[party] = value.blame.party if isinstance(value, m.Objection) else answer.signed.domain
    return found


def two_lists() -> tuple[Lists, Stage]:
    """Three are told that zhuhai is missing, and two that guangdong is."""
    lists = Lists({"guangdong": ONE, "hongkong": ONE, "macao": ONE, "shenzhen": OTHER, "zhuhai": OTHER})
    stage, job_hash = told(lists)
    assert set(lists.consents) == set(FIVE), "each list by itself may be true"
    assert stage.state(job_hash) is State.RUNNING
    return lists, stage


@pytest.mark.parametrize("shown", [FIVE, FIVE[:3], ONE, ("guangdong", "hongkong", "shenzhen", "zhuhai")])
def test_nobody_opens_when_two_lists_were_told(shown: tuple[str, ...]) -> None:
    """Whichever consents the coordinator shows: too few are to the party's own list."""
    lists, stage = two_lists()
    assert answers(stage, lists.agreed(shown), FIVE) == dict.fromkeys(FIVE, COORDINATOR)
    assert not any(domain == Unmask.domain for _, domain, *_ in stage.sent)


def test_without_the_comparison_of_lists_both_would_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: any consent is taken for one to the party's own list."""
    lists, stage = two_lists()
    monkeypatch.setattr(checks, "consent", lambda _setup, _spec, _list, parcel, _relay: parcel.message.value)
    assert set(answers(stage, lists.agreed(FIVE), FIVE).values()) == {Unmask.domain}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_fewer_consents_than_open_a_secret_open_nothing(count: int) -> None:
    lists = Lists({})
    stage, _ = told(lists)
    assert answers(stage, lists.agreed(FIVE[:count]), FIVE) == dict.fromkeys(FIVE, COORDINATOR)


@pytest.mark.parametrize("count", [4, 5])
def test_as_many_consents_as_open_a_secret_are_enough(count: int) -> None:
    lists = Lists({})
    stage, _ = told(lists)
    assert answers(stage, lists.agreed(FIVE[:count]), FIVE) == dict.fromkeys(FIVE, Unmask.domain)


def test_consents_of_one_party_count_once() -> None:
    lists = Lists({})
    stage, _ = told(lists)
    frame = lists.agreed(("guangdong", "guangdong", "hongkong", "macao"))
    assert answers(stage, frame, FIVE) == dict.fromkeys(FIVE, COORDINATOR)


@pytest.mark.parametrize("least", [3, 5])
def test_a_list_that_is_shorter_than_the_job_permits_is_refused_by_everybody(least: int) -> None:
    """Three of five are too few for anybody's shares, and four where the researcher said all."""
    shown = FIVE[: 3 if least == 3 else 4]
    stage = Stage(names=FIVE, k=1, own_figures=True, link=Lists(dict.fromkeys(FIVE, shown)))
    stage.attend()
    stage.settle()
    _, job_hash = begun(stage, stage.job(minimum_parties=least))
    stage.settle()
    assert {party: o.blame.party for party, o in stage.objections().items()} == dict.fromkeys(FIVE, COORDINATOR)
    assert not any(domain == Consent.domain for _, domain, *_ in stage.sent)
    assert stage.state(job_hash) is State.ABORTED


def test_a_party_that_is_told_a_second_list_consents_to_none() -> None:
    """It has agreed to one, and its next words are about that one."""
    lists = Lists({})
    stage, _ = told(lists)
    other = listing(lists.heads[0], OTHER)
    frame = framed(other, [()] * 4)
    assert answers(stage, frame, FIVE) == dict.fromkeys(FIVE, COORDINATOR)
    assert not any(domain == Unmask.domain for _, domain, *_ in stage.sent)


def test_whoever_was_left_out_though_it_delivered_sees_it_and_signs_nothing() -> None:
    """A coordinator cannot drop a contribution silently: who is counted stands in what everybody signs, and it is not.

    The link loses nothing but the party's own numbers on their way in; what follows is honest.
    """
    stage = Stage(names=FIVE, k=1, own_figures=True)
    stage.link = lambda way, party, frame: (
        () if (way, party, frame.signed.domain) == ("in", "zhuhai", Head.domain) else (frame,)
    )
    _, job_hash = begun(stage)
    stage.settle()
    stage.route(stage.coordinator.tick(stage.now_ms + stage.patience.silent_ms))
    while stage.coordinator.update(job_hash, "ana").round_index < 1:
        stage.deliver(*stage.pending()[0])
    while ("out", "zhuhai") in stage.pending() and stage.vaults["zhuhai"].read(secrets_of(job_hash, 0, 0)):
        stage.deliver("out", "zhuhai")
    assert stage.jurisdictions["zhuhai"]._entries[job_hash].run is not None
    kinds = [kind for kind, _ in stage.vaults["zhuhai"].read(job_hash)]
    assert kinds.count("total") == 1, "it sees the total, and that it is not in it"
    assert not stage.vaults["zhuhai"].read(secrets_of(job_hash, 0, 0)), "and holds nothing any more"
    stage.settle()
    assert stage.released(job_hash).contributors == (ONE,)
    assert sorted(stage.released(job_hash).attested_by) == list(ONE)
    assert ("zhuhai", m.ATTESTATION, job_hash, 0, 0) not in stage.sent
