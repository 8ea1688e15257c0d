"""A malicious coordinator changes what it puts before the parties: nothing runs that the researcher did not sign.

A job that cannot be tied to a researcher closes the line in the coordinator's name; a job with other publications than
it pins is refused with the coordinator's name in the reason. No engine is asked in any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from clients.jurisdiction.driver import Driver as Jurisdiction
from federation.domain.job import Job, State
from federation.domain.verdict import Verdict
from federation.errors import ProtocolViolation
from federation.protocols.masked_sum.messages import Consent, Head
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.envelope import signed
from tests.coordinator.stage import COORDINATOR, PARTIES, Stage, dataset, people

THREE = PARTIES[:3]
HASH = b"h" * 32


def staged() -> tuple[Stage, m.Offer]:
    """Everybody attends, and the honest offer of a job that nobody has heard of yet."""
    stage = Stage(k=1, own_figures=True)
    stage.attend()
    stage.settle()
    job = signed(people()["ana"], m.JOB, stage.job())
    return stage, m.Offer(job=job, publications=tuple(stage.coordinator.publications()))


def offered(stage: Stage, offer: m.Offer, party: str, by: str = COORDINATOR) -> list[m.Frame]:
    return stage.jurisdictions[party].receive(m.Frame(signed(people()[by], m.OFFER, offer)))


def verdict_in(frames: list[m.Frame]) -> Verdict:
    (frame,) = frames
    verdict = convert.BODIES[m.VERDICT].decode(frame.signed.body)
    assert isinstance(verdict, Verdict)
    return verdict


def job_in(offer: m.Offer) -> Job:
    return convert.job_of(offer.job.body)


def assert_untouched(stage: Stage) -> None:
    assert all(not engine.calls for engine in stage.engines.values())
    assert stage.entropy == dict.fromkeys(THREE, 0), "no key was drawn"


def test_the_honest_offer_is_permitted() -> None:
    stage, offer = staged()
    frames = offered(stage, offer, "macao")
    assert verdict_in(frames[:1]).permits
    assert len(frames) == 2, "a verdict and the first key"


# --- jobs that no researcher signed ----------------------------------------------------------------------------------


def unsigned(offer: m.Offer) -> m.Signed:
    return replace(offer.job, key_id=b"", signature=b"")


def signature_of_nothing(offer: m.Offer) -> m.Signed:
    return replace(offer.job, signature=bytes(64))


def signed_by_the_coordinator(offer: m.Offer) -> m.Signed:
    return signed(people()[COORDINATOR], m.JOB, job_in(offer))


def other_rows_under_the_signature(offer: m.Offer) -> m.Signed:
    return replace(offer.job, body=convert.BODIES[m.JOB].encode(replace(job_in(offer), where="x > 5")))


def fewer_parties_under_the_signature(offer: m.Offer) -> m.Signed:
    job = job_in(offer)
    fewer = replace(job, parties=job.parties[:2], publications=job.publications[:2])
    return replace(offer.job, body=convert.BODIES[m.JOB].encode(fewer))


def another_message_of_the_researcher(offer: m.Offer) -> m.Signed:
    return signed(people()["macao"], m.VERDICT, Verdict(party="macao", job_hash=b"j" * 32))


def nothing(_: m.Offer) -> m.Signed:
    return m.Signed(b"", b"", b"", "")


FORGED = (
    unsigned,
    signature_of_nothing,
    signed_by_the_coordinator,
    other_rows_under_the_signature,
    fewer_parties_under_the_signature,
    another_message_of_the_researcher,
    nothing,
)


@pytest.mark.parametrize("forge", FORGED, ids=lambda forge: forge.__name__)
@pytest.mark.parametrize("party", THREE)
def test_a_job_that_no_researcher_signed_closes_the_line_in_the_coordinators_name(
    party: str, forge: Callable[[m.Offer], m.Signed]
) -> None:
    stage, offer = staged()
    with pytest.raises(ProtocolViolation) as caught:
        offered(stage, replace(offer, job=forge(offer)), party)
    assert caught.value.party == COORDINATOR
    assert_untouched(stage)
    assert not stage.jurisdictions[party]._entries
    assert verdict_in(offered(stage, offer, party)[:1]).permits, "the driver lives, and takes the honest job"


def test_a_job_in_another_researchers_name_is_blamed_on_the_one_who_signed_it() -> None:
    stage, offer = staged()
    bens = signed(people()["ben"], m.JOB, job_in(offer))
    with pytest.raises(ProtocolViolation, match="another member's name") as caught:
        offered(stage, replace(offer, job=bens), "macao")
    assert caught.value.party == "ben", "its signature proves who did it"
    assert_untouched(stage)


@pytest.mark.parametrize("by", ["ana", "hongkong"])
def test_an_offer_that_the_coordinator_did_not_sign_is_blamed_on_the_one_who_did(by: str) -> None:
    stage, offer = staged()
    with pytest.raises(ProtocolViolation) as caught:
        offered(stage, offer, "macao", by=by)
    assert caught.value.party == by
    assert_untouched(stage)


def test_a_job_of_two_parties_that_a_researcher_signed_is_refused_by_both_before_any_row() -> None:
    """The honest coordinator refuses it when it is handed in; a conspiring one puts it before them."""
    stage, offer = staged()
    job = job_in(offer)
    pair = replace(job, parties=job.parties[:2], publications=job.publications[:2], minimum_parties=2)
    two = m.Offer(job=signed(people()["ana"], m.JOB, pair), publications=offer.publications[:2])
    for party in pair.parties:
        verdict = verdict_in(offered(stage, two, party))
        assert [reason.rule for reason in verdict.reasons] == ["minimum_parties"]
    assert_untouched(stage)


# --- other publications than the job pins ----------------------------------------------------------------------------


def publication_of(offer: m.Offer, party: str) -> int:
    return next(i for i, p in enumerate(offer.publications) if p.key_id == people()[party].member.key_id)


def another(offer: m.Offer, party: str, made: m.Signed) -> m.Offer:
    place = publication_of(offer, party)
    return replace(offer, publications=(*offer.publications[:place], made, *offer.publications[place + 1 :]))


def an_older_one(offer: m.Offer) -> m.Offer:
    """hongkong signed it, last year, over other rows."""
    old = m.Publication(party="hongkong", dataset=dataset(k=1, own_figures=True, version="0"))
    return another(offer, "hongkong", signed(people()["hongkong"], m.PUBLICATION, old))


def a_smaller_k(offer: m.Offer) -> m.Offer:
    """hongkong conspires: with its second publication no cell would be withheld."""
    old = m.Publication(party="hongkong", dataset=dataset(k=1, own_figures=False))
    return another(offer, "hongkong", signed(people()["hongkong"], m.PUBLICATION, old))


def the_victims_older_one(offer: m.Offer) -> m.Offer:
    old = m.Publication(party="macao", dataset=dataset(k=1, own_figures=True, version="0"))
    return another(offer, "macao", signed(people()["macao"], m.PUBLICATION, old))


def one_changed_under_the_signature(offer: m.Offer) -> m.Offer:
    place = publication_of(offer, "hongkong")
    body = convert.BODIES[m.PUBLICATION].encode(m.Publication(party="hongkong", dataset=dataset(version="9")))
    return another(offer, "hongkong", replace(offer.publications[place], body=body))


def one_left_out(offer: m.Offer) -> m.Offer:
    place = publication_of(offer, "hongkong")
    return replace(offer, publications=offer.publications[:place] + offer.publications[place + 1 :])


def none(offer: m.Offer) -> m.Offer:
    return replace(offer, publications=())


def one_of_an_outsider_besides(offer: m.Offer) -> m.Offer:
    made = m.Publication(party="zhuhai", dataset=dataset(k=1, own_figures=True))
    return replace(offer, publications=(*offer.publications, signed(people()["zhuhai"], m.PUBLICATION, made)))


def another_message_in_its_place(offer: m.Offer) -> m.Offer:
    made = Verdict(party="hongkong", job_hash=b"j" * 32)
    return another(offer, "hongkong", signed(people()["hongkong"], m.VERDICT, made))


CHANGED = (
    an_older_one,
    a_smaller_k,
    the_victims_older_one,
    one_changed_under_the_signature,
    one_left_out,
    none,
    one_of_an_outsider_besides,
    another_message_in_its_place,
)


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.__name__)
def test_other_publications_than_the_job_pins_are_refused_by_everybody_with_the_coordinators_name(
    change: Callable[[m.Offer], m.Offer],
) -> None:
    stage, offer = staged()
    for party in THREE:
        verdict = verdict_in(offered(stage, change(offer), party))
        (reason,) = verdict.reasons
        assert reason.rule == "protocol_violation"
        assert reason.clause.startswith(f"{COORDINATOR} broke the protocol in ")
    assert_untouched(stage)


def test_without_the_pins_a_conspirators_second_publication_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the offer's publications are believed."""

    def believed(self: Jurisdiction, _job: Job, offer: m.Offer) -> object:
        return agreed_in(offer)

    monkeypatch.setattr(Jurisdiction, "_joint", believed)
    stage, offer = staged()
    frames = offered(stage, an_older_one(offer), "macao")
    assert verdict_in(frames[:1]).permits


def agreed_in(offer: m.Offer) -> object:
    from federation.domain.catalogue import agreed

    read = [convert.BODIES[m.PUBLICATION].decode(p.body) for p in offer.publications]
    return agreed({p.party: p.dataset for p in read if isinstance(p, m.Publication)})


# --- replays ---------------------------------------------------------------------------------------------------------


def test_an_offer_again_is_answered_with_the_same_bytes() -> None:
    stage, offer = staged()
    first = offered(stage, offer, "macao")
    assert offered(stage, offer, "macao") == first
    assert stage.entropy["macao"] == 1


def test_a_job_that_is_over_and_is_offered_again_is_not_begun_again() -> None:
    """Its sums would have the names of the first ones: a withdrawal of those would free what these opened."""
    stage = Stage()
    stage.attend()
    stage.settle()
    job = stage.job()
    job_hash = stage.submit(job)
    offer = stage.coordinator._runs[job_hash]._offer
    stage.settle()
    assert stage.state(job_hash) is State.RELEASED
    calls = {party: len(engine.calls) for party, engine in stage.engines.items()}
    stage.store = type(stage.store)()  # a coordinator that pretends never to have heard of it
    for party in stage.names:
        stage.kill(party)
    stage.kill_coordinator()
    stage.attend()
    stage.settle()
    assert stage.submit(job) == job_hash
    assert stage.coordinator._runs[job_hash]._offer == offer
    stage.settle()
    assert stage.state(job_hash) is State.ABORTED
    assert stage.blames(job_hash) == {(COORDINATOR, "protocol_violation")}
    assert {party: len(engine.calls) for party, engine in stage.engines.items()} == calls
    assert not stage.stories()


def test_the_end_of_a_job_that_was_never_offered_is_ignored() -> None:
    stage, _ = staged()
    ended = m.Ended(job_hash=b"n" * 32, state=State.RELEASED)
    frame = m.Frame(signed(people()[COORDINATOR], m.ENDED, ended), job_hash=b"n" * 32)
    assert stage.jurisdictions["macao"].receive(frame) == []


@pytest.mark.parametrize("domain", [m.HELLO, m.VERDICT, m.ATTESTATION, m.PUBLICATION, Head.domain, Consent.domain])
def test_a_message_of_another_party_that_is_passed_on_is_the_coordinators_doing(domain: str) -> None:
    """hongkong signed it and sent it to the coordinator, where it belongs."""
    stage, _ = staged()
    values: dict[str, object] = {
        m.HELLO: m.Hello(party="hongkong", roster_hash=b"r" * 32, software="1", publications=()),
        m.VERDICT: Verdict(party="hongkong", job_hash=b"j" * 32),
        m.ATTESTATION: m.Attestation(party="hongkong", job_hash=b"j" * 32, transcript=b"t" * 32),
        m.PUBLICATION: m.Publication(party="hongkong", dataset=dataset()),
        Head.domain: Head(party="hongkong", number=9, spec_hash=HASH, u2_hash=HASH, chunk_root=HASH, length=1),
        Consent.domain: Consent(party="hongkong", spec_hash=HASH, u3_hash=HASH),
    }
    with pytest.raises(ProtocolViolation, match="expected an offer, a bundle, a recall or an end") as caught:
        stage.jurisdictions["macao"].receive(m.Frame(signed(people()["hongkong"], domain, values[domain])))
    assert caught.value.party == COORDINATOR
