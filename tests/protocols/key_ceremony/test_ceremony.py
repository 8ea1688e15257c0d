"""Whole ceremonies: one key for all, shares that open together and not without one, and nothing else gets out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import gmpy2
import numpy as np
import pytest

from federation.crypto import ot
from federation.crypto.paillier import threshold
from federation.crypto.paillier.threshold import BadPartial, JointKey
from federation.errors import Misuse
from federation.protocols.key_ceremony import multiplying
from federation.protocols.key_ceremony.events import Begin, DeadlinePassed, Delivered, Done, Progress, Stopped
from federation.protocols.key_ceremony.messages import What
from federation.protocols.key_ceremony.states import Blinding, Ended, Idle, Revealing
from federation.protocols.key_ceremony.terms import Ceremony
from federation.protocols.secure_sum import Aborted
from tests.protocols.key_ceremony.players import Player, Table, ceremony_of, ended, entropy_of, names

# Ceremonies are what their salts make them: these end soon, and the last one takes several batches.
SOON = {2: 1, 3: 3, 4: 10}
LATE = ceremony_of(3, salt=4)
KNOWN = Path(__file__).parent.parent.parent / "vectors" / "key_ceremony" / "known"


def named(ceremony: Ceremony) -> str:
    """Its name in a list of tests."""
    return f"{len(ceremony.holders)} holders, {'late' if ceremony == LATE else 'soon'}"


def factors(ceremony: Ceremony) -> tuple[int, int]:
    """Both factors of the modulus, which nobody in the ceremony knows."""
    return ended(ceremony).factors


def results(table: Table) -> list[Done]:
    return [player.done for player in table.players.values() if player.done is not None]


def encrypted(key: JointKey, number: int, alpha: int) -> int:
    n = key.public.n
    return int((1 + n * number) * gmpy2.powmod(key.public.hs, alpha, n * n) % (n * n))


@pytest.mark.parametrize("ceremony", [*(ceremony_of(n, salt=salt) for n, salt in SOON.items()), LATE], ids=named)
def test_all_holders_end_with_one_key_whose_factors_nobody_has(ceremony: Ceremony) -> None:
    table = ended(ceremony)
    found = results(table)
    assert len(found) == len(ceremony.holders)
    assert len({(done.key, done.tries, done.transcript) for done in found}) == 1
    key, (p, q) = found[0].key, factors(ceremony)
    key.check()
    assert JointKey.of(key.to_bytes()) == key
    assert key.holders == ceremony.holders
    assert key.public.n == p * q
    assert gmpy2.is_prime(p)
    assert gmpy2.is_prime(q)
    assert p % 4 == q % 4 == 3
    assert p != q
    assert p.bit_length() == q.bit_length() == 256


@pytest.mark.parametrize("ceremony", [*(ceremony_of(n, salt=salt) for n, salt in SOON.items()), LATE], ids=named)
def test_shares_add_up_to_beta_times_phi_over_the_integers(ceremony: Ceremony) -> None:
    found, (p, q) = results(ended(ceremony)), factors(ceremony)
    beta, rest = divmod(sum(done.share.d for done in found), (p - 1) * (q - 1))
    assert rest == 0
    assert 0 < beta < len(found) * p * q
    assert beta * (p - 1) * (q - 1) % (p * q) == found[0].key.theta
    assert all(done.share.d.bit_length() <= threshold.share_bits(done.key.public) for done in found)


@pytest.mark.parametrize("n", SOON)
def test_all_shares_together_decrypt_a_sum_and_one_fewer_does_not(n: int) -> None:
    found = results(ended(ceremony_of(n, salt=SOON[n])))
    key = found[0].key
    whole = [prod(encrypted(key, number, 12345 + number) for number in (1, 20, 300)) % key.public.n**2]
    answers = {done.share.holder: threshold.partials(key, done.share, whole) for done in found}
    assert threshold.combine(key, whole, answers) == [321]
    with pytest.raises(BadPartial):
        threshold.combine(key, whole, {**answers, "p0": [1]})


def test_ten_holders_make_a_key() -> None:
    ceremony = ceremony_of(10, salt=0)
    found = results(ended(ceremony))
    assert len(found) == 10
    assert len({done.key for done in found}) == 1
    p, q = factors(ceremony)
    assert sum(done.share.d for done in found) % ((p - 1) * (q - 1)) == 0


def test_words_are_those_that_this_version_of_the_protocol_says() -> None:
    vector = json.loads((KNOWN / "three_holders_512.json").read_text("utf-8"))
    table, words = Table(ceremony_of(vector["holders"], salt=vector["salt"]), quick=False), []
    while not table.ended:
        words += [[send.word.what, send.word.digest.hex()] for send in table.players["p1"].sends[:1]]
        table.move()
    done = results(table)[0]
    found = {"tries": done.tries, "transcript": done.transcript.hex(), "key": done.key.digest.hex(), "words": words}
    assert found == vector["want"]


def test_what_is_sent_follows_from_the_entropy() -> None:
    ceremony = ceremony_of(2, salt=SOON[2])
    again, other = Table(ceremony), Table(replace(ceremony, id=b"o" * 32))
    for table in Table(ceremony).run():
        assert {me: player.effects for me, player in table.players.items()} == {
            me: player.effects for me, player in again.players.items()
        }
        again.move()
    first = Table(ceremony).until(What.CHOOSE).players["p1"].sends[0]
    assert other.until(What.CHOOSE).players["p1"].sends[0].box != first.box


def test_the_order_of_words_does_not_matter() -> None:
    ceremony = ceremony_of(3, salt=SOON[3])
    table = Table(ceremony)
    while not table.ended:
        if all(player.proceed for player in table.players.values()):
            table.move()
            continue
        table.collect()
        table.heard = {me: heard[::-1] for me, heard in table.heard.items()}
        table.deliver()
    assert results(table) == results(ended(ceremony))


# --- what gets out ---------------------------------------------------------------------------------------------------


def secrets_of(ceremony: Ceremony) -> dict[str, bytes]:
    """What must never be seen: entropy, shares of the factors, of the exponent, as bytes."""
    found = {f"entropy of {me}": entropy_of(me) for me in ceremony.holders}
    table = Table(ceremony).until(What.BLIND)
    for me, player in table.players.items():
        assert isinstance(player.state, Blinding)
        found |= {f"p of {me}": player.state.p.to_bytes(32, "big"), f"q of {me}": player.state.q.to_bytes(32, "big")}
    for done in results(ended(ceremony)):
        found[f"d of {done.share.holder}"] = abs(done.share.d).to_bytes(130, "big").lstrip(b"\0")
    p, q = factors(ceremony)
    return {**found, "p": p.to_bytes(32, "big"), "q": q.to_bytes(32, "big")}


def test_no_word_and_no_box_has_a_secret_of_the_key() -> None:
    ceremony = ceremony_of(3, salt=SOON[3])
    secrets = secrets_of(ceremony)
    for table in Table(ceremony).run():
        for player in table.players.values():
            for send in player.sends:
                for name, secret in secrets.items():
                    assert secret not in send.word.body, (name, send.word.what)
                    assert secret not in send.box, (name, send.word.what)
                    assert secret[::-1] not in send.box, (name, send.word.what)


def test_all_rejected_candidates_are_revealed_and_the_modulus_is_not() -> None:
    ceremony = ceremony_of(3, salt=SOON[3])
    table = Table(ceremony).until(What.REVEAL)
    states = [player.state for player in table.players.values()]
    assert all(isinstance(state, Revealing) for state in states)
    size, p, q = 32, 0, 0
    accepted = results(ended(ceremony))[0].tries - 1
    for player in table.players.values():
        body = player.sends[0].word.body
        assert len(body) == 2 * size * (ceremony.batch - 1) + 32
        p += int.from_bytes(body[:size], "big")
        q += int.from_bytes(body[size : 2 * size], "big")
        assert isinstance(player.state, Revealing)
        own = player.state.factors.p[accepted].to_bytes(size, "big")
        assert own not in body
    first = states[0]
    assert isinstance(first, Revealing)
    assert p * q == first.numbers[0]


def test_no_state_and_no_effect_shows_a_secret() -> None:
    ceremony = ceremony_of(2, salt=SOON[2])
    secrets = {name: secret for name, secret in secrets_of(ceremony).items() if len(name) > 1}
    for table in Table(ceremony).run():
        for player in table.players.values():
            shown = repr(player.state) + repr(player.effects) + repr(player.events)
            for name, secret in secrets.items():
                assert repr(secret)[2:-1] not in shown, name
                assert str(int.from_bytes(secret, "big")) not in shown, name
    done = results(ended(ceremony))[0]
    assert str(abs(done.share.d)) not in repr(done)


def test_the_end_holds_nothing() -> None:
    for player in ended(ceremony_of(3, salt=SOON[3])).players.values():
        assert isinstance(player.state, Ended)
        assert [field.name for field in fields(player.state)] == ["transcript"]


def test_no_transfer_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted beside it: a ceremony whose third batch uses the numbers of the second one is found."""
    uses: Counter[tuple[bytes, int]] = Counter()
    choose = ot.choose

    def counted(trees: ot.Forest, use: int, *rest: Any) -> Any:
        uses[trees.context, use] += 1
        return choose(trees, use, *rest)

    monkeypatch.setattr(ot, "choose", counted)
    Table(LATE).until(None)
    assert len(uses) > 20
    assert set(uses.values()) == {1}
    uses.clear()
    monkeypatch.setattr(multiplying, "use_of", lambda at, what: 4 * min(at.batch, 2) + what)
    Table(LATE).until(None)
    assert max(uses.values()) > 1


def uneven(table: Table) -> float:
    """The largest chi-square, of 2 degrees, of any holder's shares of the factors modulo 3."""
    worst = 0.0
    for player in table.until(What.OPEN).players.values():
        shares = [*player.state.factors.p, *player.state.factors.q]  # type: ignore[union-attr]
        counts, expected = Counter(share % 3 for share in shares), len(shares) / 3
        worst = max(worst, sum((counts[rest] - expected) ** 2 / expected for rest in range(3)))
    return worst


def test_a_share_alone_does_not_say_what_the_factor_avoids(monkeypatch: pytest.MonkeyPatch) -> None:
    """No factor is a multiple of 3, but a third of each holder's shares are. The fault: pads that hide nothing."""
    ceremony = ceremony_of(3, batch=512)
    assert uneven(Table(ceremony)) < 20  # 1 in 20,000
    pads = ot._Desk.pads
    monkeypatch.setattr(ot._Desk, "pads", lambda desk, moduli: pads(desk, moduli) * np.uint16(0))
    assert uneven(Table(ceremony)) > 200


def test_factors_are_drawn_anew_in_every_batch() -> None:
    seen: set[int] = set()
    table, count = Table(LATE), 0
    while not table.ended:
        table.move()
        state = table.players["p0"].state
        if type(state) is Revealing:
            seen |= {*state.factors.p, *state.factors.q}
            count += 2 * LATE.batch
    assert count > 4 * LATE.batch
    assert len(seen) == count


# --- the machine's manners -------------------------------------------------------------------------------------------


def test_progress_counts_tries_and_knows_what_to_expect() -> None:
    table, said = Table(LATE), []
    while not table.ended:
        said += [effect for effect in table.players["p1"].effects if isinstance(effect, Progress)]
        table.move()
    assert [(one.batch, one.tries) for one in said] == [(i, 64 * i) for i in range(len(said))]
    assert len({one.transcript for one in said}) == len(said) > 3
    assert round(said[0].estimate.mean) == 362
    assert results(table)[0].tries > said[-1].tries


def test_words_of_a_step_that_is_over_are_ignored() -> None:
    table = Table(ceremony_of(3, salt=SOON[3])).until(What.OPEN)
    before = {me: player.state for me, player in table.players.items()}
    table.deliver()
    for me, player in table.players.items():
        assert player.state == before[me]
        assert player.effects == ()


def test_whoever_does_not_speak_in_time_is_named() -> None:
    table = Table(ceremony_of(3, salt=SOON[3])).until(What.MULTIPLY)
    one, all_ = table.branch().players["p0"], table.branch().players["p0"]
    one.give(DeadlinePassed(missing=("p2",)))
    all_.give(DeadlinePassed())
    assert one.abort is not None
    assert [(blame.party, blame.code) for blame in one.abort.blames] == [("p2", "unavailable")]
    assert all_.abort is not None
    assert [blame.party for blame in all_.abort.blames] == ["p1", "p2"]
    assert isinstance(one.state, Aborted)
    assert one.state.ended


def test_what_ended_elsewhere_lets_go_of_secrets() -> None:
    player = Table(ceremony_of(3, salt=SOON[3])).until(What.TEST).players["p0"]
    player.give(Stopped(blames=()))
    assert isinstance(player.state, Aborted)
    assert not any(isinstance(getattr(player.state, one.name), bytes) for one in fields(player.state))
    player.give(Delivered(heard=()))
    player.give(DeadlinePassed())
    assert player.effects == ()


def test_other_events_are_misuse() -> None:
    ceremony = ceremony_of(2, salt=SOON[2])
    begin = Begin(ceremony=ceremony, me="p0", entropy=b"e" * 32)
    table = Table(ceremony)
    ready = table.players["p0"]
    assert ready.proceed is not None
    for wrong in (
        begin,
        Delivered(heard=()),
        replace(ready.proceed, tries=1),
        replace(ready.proceed, batch=2),
        replace(ready.proceed, batch=0),
        replace(ready.proceed, batch=2, place=9, seen=b"short"),
    ):
        with pytest.raises(Misuse):
            ready.give(wrong)
    fresh = Table(ceremony, quick=False).players["p0"]
    with pytest.raises(Misuse):
        fresh.give(ready.proceed)
    for bad in (replace(begin, me="p7"), replace(begin, entropy=b"short"), ready.proceed):
        with pytest.raises(Misuse):
            Player(Idle()).give(bad)
    table.move()
    table.collect()
    for heard in ((), table.heard["p0"] * 2, tuple(replace(one, sender="p9") for one in table.heard["p0"])):
        with pytest.raises(Misuse):
            table.players["p0"].give(Delivered(heard=heard))


@pytest.mark.parametrize(
    "changes",
    [
        {"holders": ("p0",)},
        {"holders": names(11)},
        {"holders": ("p1", "p0")},
        {"holders": ("p0", "p0")},
        {"id": b"short"},
        {"bits": 448},
        {"bits": 576},
        {"bits": 8192},
        {"batch": 0},
        {"batch": 96},
    ],
    ids=str,
)
def test_ceremonies_of_other_forms_are_misuse(changes: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        replace(ceremony_of(3), **changes)  # type: ignore[arg-type]


def test_everything_about_a_ceremony_is_in_its_hash() -> None:
    ceremony = ceremony_of(3)
    others = [
        replace(ceremony, id=hashlib.sha256(b"other").digest()),
        replace(ceremony, holders=("p0", "p1", "p3")),
        replace(ceremony, bits=1024),
        replace(ceremony, batch=128),
    ]
    assert len({one.hash for one in (ceremony, *others)}) == 5
    assert is_dataclass(ceremony)
