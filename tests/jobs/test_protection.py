"""Masks or a joint key: what is taken where nobody says, and what a party refuses to sum under."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from federation.crypto.paillier.keys import OwnerKey, PublicKey
from federation.crypto.paillier.threshold import JointKey, dealt
from federation.errors import Misuse, Refused
from federation.jobs import protection
from federation.jobs.protection import MASKS, PAILLIER, KnownKey, Wanted, chosen, judged, named
from tests.jobs.test_sums import job_of

PARTIES = ("p00", "p01", "p02")
DEADLINE_MS = 1_000
WANTED = Wanted(parties=PARTIES, least=3, numbers=4_096, deadline_ms=DEADLINE_MS)


@cache
def joint(bits: int = 2048, holders: tuple[str, ...] = PARTIES, *, is_dealt: bool = False) -> JointKey:
    """Return a key as a ceremony makes it, as far as its label goes: nothing here decrypts."""
    if is_dealt:
        return dealt(512, holders, bytes(32))[0]
    n = OwnerKey.made(bits, bytes(31) + bytes([len(holders)])).public.n
    sid = b"s" * 32
    return JointKey(public=PublicKey.joint(n, sid), theta=1, sid=sid, holders=holders, vks=(1,) * len(holders))


def key(joint_key: JointKey | None = None, expires_ms: int = DEADLINE_MS) -> KnownKey:
    return KnownKey(joint=joint() if joint_key is None else joint_key, expires_ms=expires_ms)


@pytest.mark.parametrize(
    ("word", "name"),
    [("masks", MASKS), ("paillier", PAILLIER), ("masked_sum", MASKS), ("paillier_sum", PAILLIER), ("", "")],
)
def test_people_say_masks_or_paillier(word: str, name: str) -> None:
    assert named(word) == name


def test_another_word_is_misuse_and_the_nearest_is_named() -> None:
    with pytest.raises(Misuse, match="no protection 'pailier'") as caught:
        named("pailier")
    assert "paillier" in caught.value.hint
    with pytest.raises(Misuse):
        named("key_ceremony")


def test_a_joint_key_of_exactly_these_parties_is_the_default() -> None:
    older = key(joint(3072), DEADLINE_MS)
    newer = key(joint(), DEADLINE_MS + 1)
    for keys in ([older, newer], [newer, older]):
        choice = chosen("", WANTED, keys)
        assert (choice.protection, choice.key) == (PAILLIER, newer.joint.digest), "the one that lasts longest"
        assert choice.why == "a joint key: these parties hold it, and anyone can audit what is summed under it"


#                       what of the job or its keys, why masks are taken, rule where a key was asked for
UNFIT: list[tuple[dict[str, Any], list[KnownKey], str, str]] = [
    ({}, [], "these parties hold no joint key", "protection/key"),
    ({}, [key(joint(holders=(*PARTIES, "p03")))], "these parties hold no joint key", "protection/key"),
    ({}, [key(joint(holders=PARTIES[:2]))], "these parties hold no joint key", "protection/key"),
    (
        {"parties": (*PARTIES, "p03"), "least": 3},
        [key(joint(holders=(*PARTIES, "p03")))],
        "lost",
        "protection/everybody",
    ),
    ({}, [key(expires_ms=DEADLINE_MS - 1)], "expires before", "protection/expired"),
    ({"numbers": 4_097}, [key()], "4,097 numbers", "protection/size"),
]


@pytest.mark.parametrize(
    ("changed", "keys", "why", "rule"), UNFIT, ids=[f"{i} {row[3]}" for i, row in enumerate(UNFIT)]
)
def test_masks_are_taken_where_no_key_fits_and_are_never_taken_for_a_key_that_was_asked_for(
    changed: dict[str, Any], keys: list[KnownKey], why: str, rule: str
) -> None:
    wanted = replace(WANTED, **changed)
    choice = chosen("", wanted, keys)
    assert (choice.protection, choice.key) == (MASKS, b"")
    assert why in choice.why
    with pytest.raises(Refused, match=why) as caught:
        chosen(PAILLIER, wanted, keys)
    assert caught.value.rule == rule
    assert "masks" in caught.value.hint
    assert chosen(MASKS, wanted, keys).why == "masks, as asked"


def test_keys_that_protect_nobody_are_never_the_default_and_are_labelled_where_they_are_asked_for() -> None:
    dealer, short = key(joint(is_dealt=True)), key(joint(512))
    assert chosen("", WANTED, [dealer, short]).protection == MASKS
    choice = chosen(PAILLIER, WANTED, [dealer])
    assert choice.key == dealer.joint.digest
    assert "development key: its dealer could read everything" in choice.why
    assert protection.trust(dealer.joint) == protection.DEALT
    assert protection.trust(joint()) == protection.MADE
    assert protection.trust(joint(512)) == protection.SHORT
    assert protection.SHORT in chosen(PAILLIER, WANTED, [short]).why


JOB = replace(job_of(3), protection=PAILLIER, key=joint().digest, deadline_ms=DEADLINE_MS)


def judge(**changed: Any) -> None:
    given: dict[str, Any] = {"job": JOB, "key": key(), "numbers": 4_096, "lenient": False, "me": "p01"}
    given |= changed
    judged(given.pop("job"), given.pop("key"), given.pop("numbers"), **given)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("protection/key", {"key": None}, "p01 holds no share"),
    ("protection/key", {"job": replace(JOB, key=b"")}, "if and only if"),
    ("protection/key", {"job": replace(JOB, protection=MASKS)}, "if and only if"),
    ("protection/development-key", {"key": key(joint(is_dealt=True))}, "its dealer could read everything"),
    ("protection/key-size", {"key": key(joint(1024))}, "1024 bits"),
    ("protection/expired", {"key": key(expires_ms=DEADLINE_MS - 1)}, "expires before"),
    ("protection/holders", {"key": key(joint(holders=("p00", "p01", "p03")))}, "p00, p01, p03"),
    ("protection/holders", {"key": key(joint(holders=(*PARTIES, "p03")))}, "p03"),
    ("protection/size", {"numbers": 4_097}, "4,097"),
]


@pytest.mark.parametrize(("rule", "changed", "says"), REFUSED, ids=[f"{i} {row[0]}" for i, row in enumerate(REFUSED)])
def test_a_party_refuses_by_rule_and_says_the_remedy(rule: str, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        judge(**changed)
    assert caught.value.rule == rule
    assert caught.value.hint


def test_a_party_takes_part_in_what_fits_and_in_masks() -> None:
    judge()
    judge(job=replace(JOB, protection=MASKS, key=b""), key=None, numbers=10**6)


def test_only_a_lenient_party_takes_keys_of_tests() -> None:
    judge(key=key(joint(is_dealt=True)), lenient=True)
    judge(key=key(joint(512)), lenient=True)
    for changed in ({"key": None}, {"numbers": 4_097}, {"key": key(expires_ms=0)}):
        with pytest.raises(Refused):
            judge(**changed, lenient=True)
