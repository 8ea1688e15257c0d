"""Keys that are not the party's own, not of this sum, known to others, or not the same for everybody.

Peers fail here: keys that the server forwards unsigned, so that it can put itself in everybody's place. Each test takes
the guard away as well and shows what the attack then gives, or which other guard stands behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from federation.crypto import agreement, signing
from federation.domain.roster import Member, Role, Roster
from federation.errors import ProtocolViolation
from federation.protocols.events import Attested, Delivered, Message, Parcel, Received
from federation.protocols.masked_sum import checks, masks
from federation.protocols.masked_sum.messages import Advert
from federation.wire import messages as m
from federation.wire.envelope import opened, signed
from tests.attacks.masked_sum.malice import dealt, for_one
from tests.protocols.cohort import COORDINATOR, Cohort, attested, entropy, names

LOW_ORDER = tuple(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
SECRET = {"p0": [0], "p1": [123_456_789], "p2": [0]}  # p1 is the victim; the others are the relay's own inventions


# --- identities ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """A member with a key that its name determines."""

    member: Member
    key: bytes = field(repr=False)

    def sign(self, domain: str, body: bytes) -> bytes:
        return signing.sign(self.key, domain, body)


@cache
def identity(name: str) -> Identity:
    role = {COORDINATOR: Role.COORDINATOR, "ana": Role.RESEARCHER}.get(name, Role.JURISDICTION)
    key = hashlib.sha256(f"identity of {name}".encode()).digest()
    return Identity(Member(name=name, role=role, identity_key=signing.public_key(key), tls_certificate=b""), key)


def roster(*members: str) -> Roster:
    everybody = sorted(members or (*names(3), COORDINATOR, "ana"))
    return Roster(federation="attacked", version=1, members=tuple(identity(name).member for name in everybody))


def received(envelope: m.Signed, of: Roster | None = None) -> Parcel:
    """What a party's driver makes of an envelope that the relay forwards."""
    message = opened(envelope, of or roster(), relay=COORDINATOR)
    value: Message = message.value  # type: ignore[assignment]
    return Parcel(message=Attested(sender=message.sender, value=value, digest=message.digest))


def advert_of(party: str, salt: str = "", cohort: Cohort | None = None) -> Advert:
    value = (cohort or Cohort(3)).begin(party, salt).message.value
    assert isinstance(value, Advert)
    return value


def envelope_of(advert: Advert, signer: str) -> m.Signed:
    return signed(identity(signer), Advert.domain, advert)


TRUE = envelope_of(advert_of("p0"), "p0")
FALSE = envelope_of(advert_of("p0", salt="of the relay"), COORDINATOR)  # the relay's keys in p0's name
FORGERIES: dict[str, tuple[m.Signed, str, str]] = {
    "signed by the relay": (FALSE, COORDINATOR, "got a coordinator"),
    "unsigned": (replace(FALSE, signature=b"", key_id=b""), COORDINATOR, "got none"),
    "without a signature": (replace(FALSE, signature=b"", key_id=TRUE.key_id), COORDINATOR, "does not verify"),
    "under p0's signature of its own keys": (replace(TRUE, body=FALSE.body), COORDINATOR, "does not verify"),
    "under the relay's signature and p0's name": (replace(FALSE, key_id=TRUE.key_id), COORDINATOR, "does not verify"),
    "by a key that nobody knows": (replace(TRUE, key_id=b"k" * 16), COORDINATOR, "an unknown key"),
    "signed by another party": (envelope_of(advert_of("p0", "mitm"), "p2"), "p2", "another member's name"),
    "signed by a researcher": (envelope_of(advert_of("p0", "mitm"), "ana"), "ana", "a researcher"),
    "signed for another purpose": (
        replace(TRUE, signature=identity("p0").sign("federation/head/v2", TRUE.body)),
        COORDINATOR,
        "does not verify",
    ),
    "sent under another purpose": (replace(TRUE, domain="federation/withdrawal/v1"), COORDINATOR, "does not verify"),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_keys_that_their_party_did_not_sign_are_refused(how: str) -> None:
    envelope, culprit, got = FORGERIES[how]
    assert received(TRUE).message.sender == "p0"
    with pytest.raises(ProtocolViolation, match=got) as caught:
        received(envelope)
    assert caught.value.party == culprit


def test_keys_of_a_member_that_left_the_roster_are_refused() -> None:
    with pytest.raises(ProtocolViolation, match="an unknown key"):
        received(TRUE, roster("p1", "p2", COORDINATOR))


def put_in_everybodys_place() -> list[int]:
    """The relay answers p1 with parties of its own making, in the names of the others; what it reads of p1."""
    cohort = Cohort(3)
    for party in ("p0", "p2"):
        cohort.begin(party, salt="of the relay")
    for party in names(3):
        advert = cohort.begin("p1").message.value if party == "p1" else cohort.parties[party].state.advert  # type: ignore[attr-defined]
        forged = envelope_of(advert, party if party == "p1" else COORDINATOR)
        forged = replace(forged, key_id=identity(party).member.key_id)
        cohort.receive(Received(parcel=received(forged)))
    for phase in ("shares", "head", "consent", "unmask", "result"):
        cohort.take(phase, names(3), SECRET)
    return cohort.parties["p1"].released[0].numbers


def test_the_planted_fault_of_unchecked_signatures_reads_the_victim(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what Flower's server can do: one party among parties of the server's own, whose sum is its figure."""
    with pytest.raises(ProtocolViolation, match="does not verify"):
        put_in_everybodys_place()
    monkeypatch.setattr(signing, "verify", lambda *_: True)
    assert put_in_everybodys_place() == SECRET["p1"]


# --- of another sum --------------------------------------------------------------------------------------------------

ANOTHER_SUM = {
    "an earlier round": {"round_index": 7},
    "an earlier attempt": {"attempt": 1},
    "another job": {"job_hash": b"k" * 32},
    "another roster": {"roster_hash": b"s" * 32},
    "more parties": {"least": 4, "parties": names(4)},
}


@pytest.mark.parametrize("which", ANOTHER_SUM)
def test_signed_keys_of_another_sum_are_refused_by_both_roles(which: str) -> None:
    cohort = Cohort(3)
    replayed = Parcel(message=attested(advert_of("p2", cohort=Cohort(3, **ANOTHER_SUM[which]))))  # type: ignore[arg-type]
    honest = [cohort.begin(party) for party in ("p0", "p1")]
    with pytest.raises(ProtocolViolation, match="one for another setup") as caught:
        cohort.parties["p0"].give(Delivered(parcels=(*honest, replayed)))
    assert caught.value.party == COORDINATOR, "it forwarded what p2 said elsewhere"
    with pytest.raises(ProtocolViolation, match="one for another setup") as caught:
        cohort.receive(Received(parcel=replayed))
    assert caught.value.party == "p2"


def test_the_planted_fault_of_a_replayed_key_leaves_a_mask_that_others_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """p2 was lost in an earlier round, so its mask key of that round was opened; the relay replays that advert."""
    earlier = Cohort(3, round_index=7)
    known = masks.secrets_of(entropy("p2"), earlier.setup).mask_private
    replayed = advert_of("p2", cohort=earlier)
    monkeypatch.setattr(
        checks,
        "advert",
        lambda _setup, _hash, parcel, _relay: checks.Keys(
            parcel.message.value, (parcel.message.value.enc_pk, parcel.message.value.mask_pk), parcel.message
        ),
    )
    cohort = Cohort(3)
    bundle = (*(cohort.begin(party) for party in ("p0", "p1")), Parcel(message=attested(replayed)))
    cohort.begin("p2")
    shares = dealt(cohort, dict.fromkeys(names(3), bundle))
    with pytest.raises(ProtocolViolation, match="a box that p1 can open"):  # p2's boxes are under its new key
        cohort.parties["p1"].give(Delivered(parcels=for_one(shares, "p1")))
    old = masks.secrets_of(entropy("p2"), earlier.setup).enc_private
    state = cohort.parties["p1"].state
    p1, p2 = (next(side for side in state.sides if side.party == party) for party in ("p1", "p2"))  # type: ignore[attr-defined]
    binding = masks.Binding(spec_hash=cohort.spec.hash, adverts_hash=state.adverts_hash, u2_hash=b"u" * 32)  # type: ignore[attr-defined]
    mine = masks.secrets_of(entropy("p1"), cohort.setup).mask_private
    assert masks.pair_seed(mine, p1, p2, binding) == masks.pair_seed(known, p2, p1, binding), "the mask is known"
    assert agreement.key_pair(old)[1] == p2.enc_pk


# --- known to everybody ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", LOW_ORDER, ids=[f"point {number}" for number in range(len(LOW_ORDER))])
@pytest.mark.parametrize("key", ["enc_pk", "mask_pk"])
def test_a_key_of_low_order_is_refused_in_the_name_of_who_signed_it(key: str, point: bytes) -> None:
    cohort = Cohort(3)
    false = Parcel(message=attested(replace(advert_of("p2"), **{key: point})))
    bundle = (*(cohort.begin(party) for party in ("p0", "p1")), false)
    for act in (
        lambda: cohort.parties["p0"].give(Delivered(parcels=bundle)),
        lambda: cohort.receive(Received(parcel=false)),
    ):
        with pytest.raises(ProtocolViolation, match=r"low order|canonical") as caught:
            act()
        assert caught.value.party == "p2"
    with pytest.raises(agreement.BadPublicKey):
        agreement.shared(b"k" * 32, point)


def test_the_planted_fault_of_a_key_of_low_order_leaves_a_mask_that_everybody_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zero = bytes(32)
    together = agreement.shared_each

    def real(key: bytes, public: bytes) -> bytes:
        return together(key, [public])[0]

    monkeypatch.setattr(agreement, "representative", lambda public: public)
    monkeypatch.setattr(
        agreement,
        "shared_each",
        lambda key, each: [zero if public == zero else real(key, public) for public in each],
    )
    used: list[masks.Streams] = []
    blind = masks.masked
    monkeypatch.setattr(masks, "masked", lambda vector, ring, on: used.append(on) or blind(vector, ring, on))  # type: ignore[func-returns-value]
    cohort = Cohort(3)
    bundle = [cohort.begin(party) for party in names(3)]
    bundle[2] = Parcel(message=attested(replace(bundle[2].message.value, mask_pk=zero)))  # type: ignore[type-var]
    shares = dealt(cohort, dict.fromkeys(names(3), bundle))
    cohort.parties["p1"].give(Delivered(parcels=for_one(shares, "p1")))
    cohort.contribute("p1", [1])
    state = cohort.parties["p1"].state
    p1, p2 = (next(side for side in state.masked.sides if side.party == party) for party in ("p1", "p2"))  # type: ignore[attr-defined]
    public = agreement.derive(zero, masks.pair_info(state.binding, p1, p2))  # type: ignore[attr-defined]
    assert public in used[0].add


# --- not the same for everybody --------------------------------------------------------------------------------------


def shown(different: Callable[[list[Parcel]], list[Parcel]]) -> tuple[Cohort, Mapping[str, Parcel]]:
    """Four parties, of whom p1 is shown other adverts than the rest; what everybody deals."""
    cohort = Cohort(4)
    bundle = [cohort.begin(party) for party in names(4)]
    views = {party: different(bundle) if party == "p1" else bundle for party in names(4)}
    return cohort, dealt(cohort, views)


def second_key(bundle: list[Parcel]) -> list[Parcel]:
    """P3, who colludes, signed two adverts."""
    return [*bundle[:3], Parcel(message=attested(advert_of("p3", "a second key", Cohort(4))))]


VIEWS: dict[str, Callable[[list[Parcel]], list[Parcel]]] = {
    "one party less": lambda bundle: bundle[:3],
    "another key of one party": second_key,
}


@pytest.mark.parametrize("view", VIEWS)
def test_parties_that_are_shown_different_participants_refuse_each_other_s_shares(view: str) -> None:
    cohort, shares = shown(VIEWS[view])
    for party, other in (("p0", "p1"), ("p1", "p0")):
        bundle = [parcel for parcel in for_one(shares, party) if parcel.message.sender in ("p0", "p1", "p2")]
        with pytest.raises(ProtocolViolation, match="some dealt among others") as caught:
            cohort.parties[party].give(Delivered(parcels=tuple(bundle)))
        assert caught.value.party == COORDINATOR
        assert other in {parcel.message.sender for parcel in bundle}


def test_the_planted_fault_of_adverts_that_are_not_bound_lets_a_split_of_keys_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(masks, "hash_of_adverts", lambda *_: b"a" * 32)
    cohort, shares = shown(VIEWS["another key of one party"])
    bundle = [parcel for parcel in for_one(shares, "p0") if parcel.message.sender != "p3"]
    cohort.parties["p0"].give(Delivered(parcels=tuple(bundle)))  # and masks against p1, who knows another group
    assert cohort.parties["p0"].state.awaits.what == "contribution"
    cohort, shares = shown(VIEWS["one party less"])
    bundle = [parcel for parcel in for_one(shares, "p0") if parcel.message.sender != "p3"]
    with pytest.raises(ProtocolViolation, match="my box under the signed root"):  # p1 dealt one box less
        cohort.parties["p0"].give(Delivered(parcels=tuple(bundle)))


def test_a_relay_that_alters_a_party_s_own_keys_is_named_by_it() -> None:
    cohort = Cohort(3)
    bundle = [cohort.begin(party) for party in names(3)]
    altered = [Parcel(message=attested(advert_of("p0", "mitm"))), *bundle[1:]]
    with pytest.raises(ProtocolViolation, match="my own advert unchanged") as caught:
        cohort.parties["p0"].give(Delivered(parcels=tuple(altered)))
    assert caught.value.party == COORDINATOR


def test_behind_it_the_boxes_do_not_open_and_nothing_is_masked() -> None:
    """The planted fault: p0 takes the altered advert for its own. Its peers deal to the key that they were shown."""
    cohort = Cohort(3)
    bundle = [cohort.begin(party) for party in names(3)]
    altered = [Parcel(message=attested(advert_of("p0", "mitm"))), *bundle[1:]]
    shares = dealt(cohort, dict.fromkeys(names(3), altered))
    with pytest.raises(ProtocolViolation, match="a box that p0 can open"):
        cohort.parties["p0"].give(Delivered(parcels=for_one(shares, "p0")))
