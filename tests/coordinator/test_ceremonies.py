"""The relay of key ceremonies: what does not fit ends that ceremony with a reason, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.coordinator.ceremonies import MOST_OPEN
from federation.coordinator.driver import Driver
from federation.crypto.paillier.threshold import dealt
from federation.domain.job import State
from federation.protocols.key_ceremony.messages import What, Word
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS
from federation.wire.envelope import signed
from tests.jurisdiction.circle import HOLDERS, HOUR_MS, NOW, Circle
from tests.protocols.key_ceremony.players import remember_transfers
from tests.wire.members import RELAY, people, roster


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_transfers(monkeypatch)


def told(circle: Circle, sender: str, domain: str, value: object, **hints: object) -> list[m.Ended | m.KeyNews]:
    """What the relay answers to one message, to whomever."""
    frame = m.Frame(signed(people()[sender], domain, value), **hints)  # type: ignore[arg-type]
    answers = [item.frame.signed for item in circle.relay.receive(sender, frame)]
    return [convert.BODIES[one.domain].decode(one.body) for one in answers]  # type: ignore[misc]


def why(answers: list[m.Ended | m.KeyNews]) -> str:
    """Why a ceremony ended, for all whom the relay told."""
    assert all(isinstance(one, m.Ended) for one in answers)
    (reason,) = {one.blames[0].message for one in answers if isinstance(one, m.Ended)}
    return reason


def joined() -> tuple[Circle, bytes]:
    """A ceremony that all have joined; what they say is not delivered."""
    circle = Circle()
    ceremony = circle.begun()
    circle.run(lambda: all(len(one.joined) == 3 for one in map(circle.last, HOLDERS)))
    circle.queue.clear()
    return circle, ceremony


def word(circle: Circle, **changes: object) -> Word:
    sent = next(frame for name, frame in circle.sent if name == "macao" and frame.signed.domain == Word.domain)
    found = convert.BODIES[Word.domain].decode(sent.signed.body)
    assert isinstance(found, Word)
    return replace(found, **changes)  # type: ignore[arg-type]


def test_a_word_goes_to_the_one_holder_that_it_is_for_as_it_came() -> None:
    circle, ceremony = joined()
    frame = m.Frame(signed(people()["macao"], Word.domain, word(circle)), (b"box",), ceremony, 0, to="hongkong")
    (out,) = circle.relay.receive("macao", frame)
    assert (out.to, out.frame) == ("hongkong", frame)


@pytest.mark.parametrize(
    ("changes", "hints"),
    [
        ({}, {"to": "macao"}),
        ({}, {"to": "ana"}),
        ({}, {"to": ""}),
        ({"ceremony": b"o" * 32}, {}),
        ({"body": bytes(300_000)}, {}),
        ({}, {"parts": (bytes(1_000_000),)}),
    ],
)
def test_a_word_that_does_not_fit_ends_the_ceremony_and_names_its_sender(
    changes: dict[str, object], hints: dict[str, object]
) -> None:
    circle, ceremony = joined()
    further = {"job_hash": ceremony, "to": "hongkong", **hints}
    answers = told(circle, "macao", Word.domain, word(circle, **changes), **further)
    assert "macao" in why(answers)
    assert len(answers) == 3
    again = told(circle, "hongkong", m.KEY_ASK, m.KeyAsk(party="hongkong", ceremony=ceremony, place=0), to="macao")
    assert [type(one) for one in again] == [m.Ended]


def test_no_word_passes_before_all_have_joined() -> None:
    circle = Circle()
    ceremony = circle.propose()
    circle.run()
    ask = m.KeyAsk(party="macao", ceremony=ceremony, place=0)
    assert "macao" in why(told(circle, "macao", m.KEY_ASK, ask, to="hongkong"))


def test_who_joins_twice_with_two_keys_is_named_and_who_says_the_same_again_is_not() -> None:
    circle = Circle()
    ceremony = circle.propose()
    circle.run()
    join = next(frame for _, frame in circle.sent if frame.signed.domain == m.KEY_JOIN)
    assert [type(convert.BODIES[one.frame.signed.domain].decode(one.frame.signed.body)) for one in
            circle.relay.receive("macao", join)] == [m.KeyNews]  # fmt: skip
    other = m.KeyJoin(party="macao", ceremony=ceremony, box_key=b"\x09" + bytes(31))
    assert "macao" in why(told(circle, "macao", m.KEY_JOIN, other))


def test_a_key_that_is_none_is_refused_when_it_joins() -> None:
    circle = Circle()
    ceremony = circle.propose()
    circle.run()
    low = m.KeyJoin(party="hongkong", ceremony=ceremony, box_key=bytes(32))
    assert "hongkong" in why(told(circle, "hongkong", m.KEY_JOIN, low))


def certificate(**changes: object) -> m.KeyCertificate:
    joint, _ = dealt(512, HOLDERS, bytes(32))
    value = m.KeyCertificate(joint_key=joint.to_bytes(), transcript=b"t" * 32, made_ms=NOW, expires_ms=NOW + EPOCH_MS)
    return replace(value, **changes)  # type: ignore[arg-type]


def test_holders_who_sign_different_keys_end_with_none() -> None:
    circle, ceremony = joined()
    news = told(circle, "macao", m.KEY_CERTIFICATE, certificate(), job_hash=ceremony)
    assert all(isinstance(one, m.KeyNews) for one in news)
    other = certificate(transcript=b"u" * 32)
    answers = told(circle, "hongkong", m.KEY_CERTIFICATE, other, job_hash=ceremony)
    assert "hongkong" in why(answers)
    assert {one.state for one in answers if isinstance(one, m.Ended)} == {State.ABORTED}
    assert circle.relay.joint_keys.all() == ()


@pytest.mark.parametrize(
    "changed",
    [
        lambda: certificate(made_ms=NOW + 1, expires_ms=NOW + 1 + EPOCH_MS),
        lambda: certificate(expires_ms=NOW + 1),
        lambda: certificate(joint_key=b"none"),
        lambda: certificate(joint_key=dealt(512, ("a", "b", "c"), bytes(32))[0].to_bytes()),
        lambda: certificate(joint_key=dealt(640, HOLDERS, bytes(32))[0].to_bytes()),
    ],
    ids=["another epoch", "a short one", "no key", "others' key", "another length"],
)
def test_a_certificate_of_another_key_than_was_proposed_is_refused(changed: Callable[[], m.KeyCertificate]) -> None:
    circle, ceremony = joined()
    assert "macao" in why(told(circle, "macao", m.KEY_CERTIFICATE, changed(), job_hash=ceremony))


def test_a_jurisdiction_that_is_no_holder_can_do_nothing() -> None:
    circle, ceremony = joined()
    for value, domain in (
        (m.KeyAsk(party="macao", ceremony=b"o" * 32, place=0), m.KEY_ASK),
        (certificate(), m.KEY_CERTIFICATE),
    ):
        (answer,) = told(circle, "macao", domain, value, job_hash=b"o" * 32, to="hongkong")
        assert "no such ceremony" in why([answer])
    assert circle.relay.receive("macao", circle.sent[-1][1]) is not None
    assert circle.last("macao").state != "failed"
    assert ceremony in circle.store.ceremonies()


def test_one_proposer_has_few_ceremonies_open() -> None:
    circle = Circle()
    for _ in range(MOST_OPEN):
        circle.propose()
    circle.run()
    assert [one.state for one in circle.holders["guangdong"].shown()] == ["proposed"] * MOST_OPEN
    circle.propose()
    circle.run()
    assert f"macao has {MOST_OPEN} ceremonies open" in circle.holders["macao"].shown()[0].why
    assert len(circle.holders["guangdong"].shown()) == MOST_OPEN


def test_the_store_gives_back_what_was_proposed_joined_signed_and_how_it_ended() -> None:
    circle = Circle()
    circle.begun()
    circle.run()
    late, _ = circle.propose("guangdong"), circle.run()
    failed = circle.propose("hongkong")
    circle.run()
    circle.say("hongkong", circle.holders["hongkong"].decline(failed.hex())[1])
    circle.run()
    again = Driver(people()[RELAY], roster(), circle.store, clock=lambda: circle.now)
    again.resume()
    assert again.joint_keys.all() == circle.relay.joint_keys.all()
    assert again.next_deadline_ms() == circle.relay.next_deadline_ms() == NOW + HOUR_MS
    for ceremony, entry in circle.relay._ceremonies._entries.items():
        folded = again._ceremonies._entries[ceremony]
        assert (folded.joins, folded.certificates, folded.ended) == (entry.joins, entry.certificates, entry.ended)
    assert not again._ceremonies._entries[late].closed


def test_ceremonies_of_another_roster_are_not_taken_up() -> None:
    circle = Circle()
    circle.propose()
    circle.run()
    other = replace(roster(), version=2)
    again = Driver(people()[RELAY], other, circle.store, clock=lambda: circle.now)
    assert again.resume() == 0
    assert again.next_deadline_ms() is None


def test_boxes_and_words_of_all_steps_are_within_what_the_relay_lets_pass() -> None:
    """The other side of the bound: nothing honest is refused, in any step."""
    circle = Circle()
    circle.begun()
    circle.run()
    assert circle.states == ["made"] * 3
    seen = {
        convert.BODIES[Word.domain].decode(f.signed.body).what for _, f in circle.sent if f.signed.domain == Word.domain
    }  # type: ignore[attr-defined]
    assert seen == set(What) - {What.DISPUTE}
