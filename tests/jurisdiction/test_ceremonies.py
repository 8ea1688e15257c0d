"""Three daemons make a key that their operators approved, whatever is lost or killed on the way; and no other one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from clients.jurisdiction import ceremonies, making
from clients.jurisdiction.vault import Vault
from federation.crypto.paillier import threshold
from federation.crypto.paillier.threshold import JointKey
from federation.errors import Misuse, Refused
from federation.identity.sealed import SealedLog
from federation.protocols.key_ceremony.messages import What, Word
from federation.wire import convert
from federation.wire import messages as m
from federation.wire.certificates import EPOCH_MS, Certified
from federation.wire.envelope import signed
from tests.jurisdiction.circle import HOLDERS, HOUR_MS, NOW, Circle
from tests.jurisdiction.circle import seeded as seeded_circles
from tests.protocols.key_ceremony.players import remember_transfers
from tests.wire.members import people


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_transfers(monkeypatch)


@pytest.fixture(scope="module", name="seeded")
def _seeded() -> Iterator[Callable[..., Circle]]:
    with seeded_circles() as circle:
        yield circle


def key_of(circle: Circle) -> Certified:
    (found,) = circle.relay.joint_keys.all()
    return found


def holds(circle: Circle) -> None:
    """Check that everybody has a share of one key that decrypts, and that it is signed and served."""
    assert circle.states == ["made"] * 3
    certified, held = key_of(circle), {name: circle.keys[name].all()[-1] for name in HOLDERS}
    joint = certified.joint
    joint.check()
    assert {one.joint for one in held.values()} == {joint}
    assert [one.key_id for one in certified.signatures] == [people()[name].member.key_id for name in HOLDERS]
    assert certified.transcript == circle.last("macao").transcript
    assert (certified.made_ms, certified.expires_ms) == (NOW, NOW + EPOCH_MS)
    n = joint.public.n
    given = [(1 + n * 321) * pow(joint.public.hs, 12345, n * n) % (n * n)]
    answers = {name: threshold.partials(joint, one.share, given) for name, one in held.items()}
    assert threshold.combine(joint, given, answers) == [321]


def words(circle: Circle) -> dict[tuple[str, str, int], set[bytes]]:
    """What was said, by sender, receiver and step: its bytes with the sealed box."""
    found = defaultdict(set)
    for name, frame in circle.sent:
        if frame.signed.domain == Word.domain:
            found[name, frame.to, frame.round_index].add(convert.frame_bytes(frame))
    return found


# --- keys ------------------------------------------------------------------------------------------------------------


def test_three_holders_make_a_key_that_all_sign_and_the_relay_serves() -> None:
    circle = Circle()
    circle.begun()
    circle.run()
    holds(circle)


def test_a_key_is_made_when_the_last_operator_has_approved_and_not_before() -> None:
    circle = Circle()
    circle.propose("hongkong")
    circle.run()
    assert circle.states == ["proposed", "approved", "proposed"]
    circle.approve("macao")
    circle.run()
    assert circle.states == ["proposed", "approved", "approved"]
    assert not words(circle)
    circle.approve("guangdong")
    circle.run()
    holds(circle)


def test_one_epoch_after_another_keys_are_made_and_their_shares_erased() -> None:
    circle = Circle()
    for _ in range(2):
        circle.begun()
        circle.run()
    assert len(circle.relay.joint_keys.all()) == len(circle.keys["macao"].all()) == 2
    circle.now += EPOCH_MS
    for name in HOLDERS:
        circle.attend(name)
    assert [len(circle.keys[name].all()) for name in HOLDERS] == [0, 0, 0]
    assert ("macao", "key expired", "its share is erased") in circle.notes


# --- what is lost ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def length(seeded: Callable[..., Circle]) -> int:
    """How many frames travel in the seeded ceremony."""
    circle = seeded()
    circle.begun()
    for found in count():
        if not circle.queue:
            return found
        circle.move()
    raise AssertionError


@pytest.mark.timeout(300)
@pytest.mark.parametrize("who", ["macao", "guangdong"])
def test_a_holder_killed_at_any_step_goes_on_with_the_same_bytes(
    who: str, length: int, seeded: Callable[..., Circle]
) -> None:
    """Every 17th frame, from another one for each of the two: the steps of both batches are among them."""
    for at in range(3 if who == "macao" else 0, length, 17):
        circle = seeded()
        circle.begun()
        for _ in range(at):
            circle.move()
        circle.start(who)
        circle.run()
        holds(circle)
        assert {len(bytes_) for bytes_ in words(circle).values()} == {1}, "a word was said again with other bytes"


@pytest.mark.timeout(300)
def test_the_relay_killed_at_any_step_costs_nothing_but_what_was_on_its_way(
    length: int, seeded: Callable[..., Circle]
) -> None:
    for at in range(5, length, 37):
        circle = seeded()
        circle.begun()
        for _ in range(at):
            circle.move()
        circle.kill_relay()
        circle.run()
        holds(circle)
        assert {len(bytes_) for bytes_ in words(circle).values()} == {1}


@pytest.mark.timeout(300)
def test_everything_killed_again_and_again_still_ends_with_a_key() -> None:
    circle = Circle()
    circle.begun()
    for turn in count():
        for _ in range(17 + turn % 5):
            if circle.queue:
                circle.move()
        if not circle.queue:
            break
        if turn < 30:
            circle.start(HOLDERS[turn % 3])
        if turn % 4 == 3 and turn < 30:
            circle.kill_relay()
    holds(circle)


def test_without_what_was_asked_for_the_ceremony_would_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a daemon that comes back does not ask."""
    monkeypatch.setattr(making.Making, "ask", lambda *_, **__: [])
    circle = Circle()
    circle.begun()
    circle.run(lambda: len(circle.sent) > 60)
    circle.start("macao")
    circle.run()
    assert "made" not in circle.states


def test_without_what_was_sealed_other_bytes_would_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: secrets are drawn, and not kept."""
    circle = Circle()
    circle.begun()
    circle.run(lambda: len(circle.sent) > 60)
    circle.holders["macao"]._entries[circle.last("macao").id].secret = b"o" * 64
    fresh = circle.holders["macao"]._making(circle.holders["macao"]._entries[circle.last("macao").id])
    circle.say("macao", fresh.begin())
    assert max(len(bytes_) for bytes_ in words(circle).values()) == 2


def test_what_is_over_is_forgotten(tmp_path: Path, seeded: Callable[..., Circle]) -> None:
    """In the vault stay the key and that there was a ceremony; the entropy and every box are gone from the file."""
    vaults: dict[str, SealedLog] = {}

    def sealed(name: str) -> Vault:
        vaults[name] = SealedLog(tmp_path / name, bytes(32))
        return vaults[name]

    circle = seeded(vaults=sealed)
    ceremony = circle.begun()
    circle.run(lambda: circle.last("macao").standing.batch == 1 and circle.last("macao").standing.what == "correct")
    assert ceremony in vaults["macao"].streams()
    assert vaults["macao"].read(ceremonies.approval_of(ceremony))
    sizes = sum(len(payload) for _, payload in vaults["macao"].read(making.batch_stream(ceremony, 2)))
    assert sizes > 10_000
    assert not vaults["macao"].read(making.batch_stream(ceremony, 1)), "a batch that is over"
    circle.run()
    holds(circle)
    names = set(vaults["macao"].streams())
    assert len(names) == 1, "the share"
    assert not names & {ceremony, making.secrets_of(ceremony), ceremonies.approval_of(ceremony)}
    for vault in vaults.values():
        vault.close()


def test_the_relay_stores_what_was_signed_and_neither_word_nor_box() -> None:
    circle = Circle()
    ceremony = circle.begun()
    circle.run()
    kinds = [kind for kind, _ in circle.store.events(ceremony)]
    assert kinds == ["proposal", "join", "join", "join", "certificate", "certificate", "certificate"]
    assert sum(len(payload) for _, payload in circle.store.events(ceremony)) < 10_000
    assert circle.store.jobs() == []


# --- what the relay cannot do ----------------------------------------------------------------------------------------


def test_no_box_travels_open_and_each_opens_for_one_holder_and_one_word() -> None:
    """The planted side: the same box as its sender has it before it is sealed."""
    circle = Circle()
    circle.begun()
    circle.run(lambda: all(any(one.making for one in holder._entries.values()) for holder in circle.holders.values()))
    sender, frame = next((name, frame) for name, frame in circle.sent if frame.parts)
    word = convert.BODIES[Word.domain].decode(frame.signed.body)
    assert isinstance(word, Word)
    entries = {name: next(iter(circle.holders[name]._entries.values())) for name in HOLDERS}
    box = entries[frame.to].making._unsealed(word, frame).box  # type: ignore[union-attr]
    sealed = b"".join(frame.parts)
    assert len(sealed) == len(box) + 16
    assert box[:16] not in sealed
    third = next(name for name in HOLDERS if name not in (sender, frame.to))
    with pytest.raises(Exception, match="sealed box"):
        entries[third].making._unsealed(word, frame)  # type: ignore[union-attr]
    with pytest.raises(Exception, match="sealed box"):
        entries[frame.to].making._unsealed(replace(word, place=1), frame)  # type: ignore[union-attr]


def first_box(change: Callable[[m.Frame], m.Frame]) -> Circle:
    """A ceremony in which the relay changes one box on its way."""
    circle = Circle()
    done: list[m.Frame] = []

    def changed(_: str, frame: m.Frame) -> m.Frame:
        if frame.parts and not done:
            done.append(frame)
            return change(frame)
        return frame

    circle.change = changed
    circle.begun()
    circle.run()
    return circle


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: replace(frame, parts=(bytes(len(frame.parts[0])),)),
        lambda frame: replace(frame, parts=(frame.parts[0][:-1],)),
        lambda frame: replace(frame, parts=()),
        lambda frame: replace(frame, to=next(n for n in HOLDERS if n not in {frame.to, "guangdong"})),
    ],
    ids=["zeros", "cut", "nothing", "another's"],
)
def test_a_box_that_the_relay_changes_ends_the_ceremony(change: Callable[[m.Frame], m.Frame]) -> None:
    circle = first_box(change)
    assert "made" not in circle.states
    assert "failed" in circle.states


def test_a_join_that_the_relay_made_up_is_not_believed() -> None:
    """It would read every box: the key in the join is signed by the holder's identity."""
    circle = Circle()
    circle.propose()
    circle.run()
    entry = next(iter(circle.holders["macao"]._entries.values()))
    join = m.KeyJoin(party="hongkong", ceremony=entry.id, box_key=b"\x09" + bytes(31))
    forged = replace(signed(people()["macao"], m.KEY_JOIN, join), key_id=people()["hongkong"].member.key_id)
    news = m.KeyNews(proposal=entry.envelope, joins=(forged,))
    frame = m.Frame(signed(people()["relay"], m.KEY_NEWS, news), job_hash=entry.id)
    circle.say("macao", circle.holders["macao"].receive(frame))
    assert circle.last("macao").state == "failed"
    assert "signature" in circle.last("macao").why


# --- what a holder may not do ----------------------------------------------------------------------------------------


def test_a_holder_who_says_two_things_in_one_step_is_named() -> None:
    circle = Circle()
    circle.begun()
    circle.run(lambda: len(circle.sent) > 40)
    entry = next(iter(circle.holders["macao"]._entries.values()))
    assert entry.making is not None
    name, frame = next(
        (name, frame)
        for name, frame in reversed(circle.sent)
        if frame.to == "macao" and frame.round_index == entry.making.standing.place
    )
    word = convert.BODIES[Word.domain].decode(frame.signed.body)
    assert isinstance(word, Word)
    other = replace(frame, signed=signed(people()[name], Word.domain, replace(word, body=word.body + b"!")), parts=())
    other = replace(other, signed=signed(people()[name], Word.domain, replace(word, boxes=(), body=b"!")))
    circle.say("macao", circle.holders["macao"].receive(frame))
    circle.say("macao", circle.holders["macao"].receive(other))
    circle.run()
    assert circle.states == ["failed"] * 3
    assert name in circle.last("guangdong").why


def test_a_holder_that_does_not_speak_in_time_is_named_and_everybody_forgets() -> None:
    circle = Circle()
    ceremony = circle.begun()
    circle.run(lambda: len(circle.sent) > 40)
    circle.leave("hongkong")
    circle.run()
    assert circle.last("macao").standing.waits_for == ("hongkong",)
    circle.now += HOUR_MS
    circle.say("macao", circle.holders["macao"].tick())
    circle.run()
    assert "hongkong did not say its word" in circle.last("macao").why
    assert circle.last("guangdong").state == "failed"
    circle.attend("hongkong")
    circle.run()
    assert circle.states == ["failed"] * 3
    for name in HOLDERS:
        assert circle.vaults[name].read(ceremonies.approval_of(ceremony)) == []
        assert circle.vaults[name].read(making.secrets_of(ceremony)) == []


def test_a_relay_that_waits_too_long_names_who_did_not_approve() -> None:
    circle = Circle()
    circle.propose()
    circle.run()
    circle.approve("guangdong")
    circle.run()
    circle.now += HOUR_MS
    assert circle.relay.next_deadline_ms() == circle.now
    circle._deliver(circle.relay.tick(circle.now))
    circle.run()
    assert circle.states == ["failed"] * 3
    assert circle.last("macao").why == "the deadline of the ceremony passed: hongkong did not approve"
    assert circle.relay.next_deadline_ms() is None


def test_an_operator_who_declines_ends_it_for_all() -> None:
    circle = Circle()
    ceremony = circle.propose()
    circle.run()
    circle.say("guangdong", circle.holders["guangdong"].decline(ceremony.hex()[:6])[1])
    circle.run()
    assert circle.states == ["failed"] * 3
    assert circle.last("macao").why == "the operator of guangdong declined"


# --- what a daemon refuses -------------------------------------------------------------------------------------------


def test_a_key_that_protects_nobody_is_made_only_where_every_operator_permits_it() -> None:
    circle = Circle(development=False)
    with pytest.raises(Refused, match="protects nobody"):
        circle.propose()
    circle.development["macao"] = True
    circle.start("macao")
    circle.propose()
    circle.run()
    assert circle.last("macao").state == "failed"
    assert "guangdong makes no key of 512 bits" in circle.last("macao").why
    assert not circle.holders["guangdong"].shown()


def test_the_floor_is_2048_bits() -> None:
    circle = Circle(development=False)
    for bits, fits in ((1024, False), (2048, True)):
        try:
            circle.propose(bits=bits)
        except Refused:
            assert not fits
        else:
            assert fits


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"holders": ("guangdong", "macao")}, "at least 3 holders"),
        ({"holders": ("ana", "guangdong", "macao")}, "jurisdictions of the roster"),
        ({"holders": ("guangdong", "hongkong", "macao"), "bits": 500}, "bits"),
    ],
)
def test_proposals_that_make_no_sense_are_not_made(changes: dict[str, object], rule: str) -> None:
    circle = Circle()
    with pytest.raises((Refused, Misuse), match=rule):
        circle.propose(**changes)  # type: ignore[arg-type]
    assert not circle.sent


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("made_ms", NOW + ceremonies.EARLY_MS + 1, "in the future"),
        ("made_ms", NOW - 2 * HOUR_MS, "passed"),
        ("deadline_ms", NOW, "7 days"),
        ("deadline_ms", NOW + 8 * 24 * HOUR_MS, "7 days"),
        ("roster_hash", b"r" * 32, "another roster"),
    ],
)
def test_a_foreign_proposal_is_judged_by_the_same_rules(field: str, value: object, why: str) -> None:
    circle = Circle()
    circle.propose("macao")
    _, frame = circle.sent[-2]
    proposal = convert.BODIES[m.KEY_PROPOSAL].decode(frame.signed.body)
    assert isinstance(proposal, m.KeyProposal)
    changed = replace(proposal, **{field: value})
    if field == "made_ms":
        changed = replace(changed, deadline_ms=changed.made_ms + HOUR_MS)
    envelope = signed(people()["macao"], m.KEY_PROPOSAL, changed)
    news = m.Frame(signed(people()["relay"], m.KEY_NEWS, m.KeyNews(proposal=envelope)))
    (objection,) = circle.holders["guangdong"].receive(news)
    blame = convert.BODIES[m.OBJECTION].decode(objection.signed.body).blame  # type: ignore[attr-defined]
    assert why in blame.message + blame.hint
    assert circle.relay.receive("macao", m.Frame(envelope)) is not None


def test_what_is_over_here_is_not_begun_again_and_nothing_is_approved_twice() -> None:
    circle = Circle()
    circle.begun()
    news = []
    circle.run(
        lambda: any(news.append(f) for _, out, f in circle.queue if not out and f.signed.domain == m.KEY_NEWS) or 0
    )
    circle.run()
    holds(circle)
    before = circle.holders["macao"].shown()
    assert circle.holders["macao"].receive(news[0]) == []
    assert circle.holders["macao"].shown() == before
    with pytest.raises(Misuse, match="no key ceremony is waiting"):
        circle.approve("macao")


def test_a_memory_that_forgot_its_join_ends_the_ceremony() -> None:
    """An old copy of the state folder: its transfers would be used a second time."""
    circle = Circle()
    circle.propose()
    circle.run()
    for kind in ("guangdong", "hongkong"):
        circle.approve(kind)
    circle.run(lambda: len(circle.sent) > 20)
    entry = next(iter(circle.holders["macao"]._entries.values()))
    circle.vaults["macao"].erase(ceremonies.approval_of(entry.id))
    circle.vaults["macao"].erase(entry.id)
    circle.vaults["macao"].append_many(entry.id, [("proposal", convert.signed_bytes(entry.envelope))])
    circle.start("macao")
    circle.run()
    assert circle.states == ["failed"] * 3
    assert "an old copy" in circle.last("guangdong").why


def test_a_defect_ends_the_ceremony_and_not_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = Circle()
    circle.begun()
    circle.run(lambda: len(circle.sent) > 40)

    def broken(*_: object) -> object:
        raise ZeroDivisionError("a number that nobody may see: 70000013")

    monkeypatch.setattr(making.Making, "_due", broken)
    circle.run()
    assert circle.states == ["failed"] * 3
    assert "ZeroDivisionError" in circle.last("macao").why
    assert not any("70000013" in text for _, _, text in circle.notes)


def test_progress_counts_tries_and_says_who_is_waited_for(seeded: Callable[..., Circle]) -> None:
    circle = seeded()
    circle.begun()
    seen = set()
    while circle.queue:
        circle.move()
        standing = circle.last("macao").standing
        seen.add((standing.batch, standing.tries, standing.what))
    assert {what for _, _, what in seen} >= {what.value for what in What} - {"dispute"}
    assert {(batch, tries) for batch, tries, _ in seen} == {(0, 0), (1, 64)}
    assert circle.last("macao").tries == 99
    assert isinstance(key_of(circle).joint, JointKey)
