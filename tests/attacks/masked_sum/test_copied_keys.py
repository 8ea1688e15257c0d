"""A corrupt party registers another's mask key, or an alias of it, so that two masks of its victim cancel.

Three things stand in the way: keys that are equal or aliases are refused; the names of both parties are in the KDF;
both public keys are in the KDF. Each is taken away in turn to show what the others do and what it costs to have none.
"""

from __future__ import annotations

import hashlib

import pytest

from federation.crypto import agreement, ring
from federation.errors import ProtocolViolation
from federation.protocols.masked_sum import checks, masks
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert, Head
from federation.protocols.secure_sum import Delivered, Parcel
from tests.protocols.cohort import Cohort, attested

SECRET = [4_211, -77, 10**30]


def copied(key: bytes) -> bytes:
    return key


def aliased(key: bytes) -> bytes:
    """1/u: P + T for the point T of order two; other bytes, the same secret with everybody."""
    return pow(int.from_bytes(key, "little"), -1, agreement.PRIME).to_bytes(32, "little")


def top_bit(key: bytes) -> bytes:
    """The bit that X25519 masks off; a search for equal bytes misses it."""
    return key[:31] + bytes([key[31] | 0x80])


COPIES = (copied, aliased, top_bit)


def attacked(victim: str, thief: str, owner: str, copy: object) -> tuple[Cohort, tuple[Parcel, ...]]:
    """A cohort before its adverts are delivered, and the bundle in which `thief` has a copy of `owner`'s key."""
    cohort = Cohort(3, len(SECRET))
    bundle = {parcel.message.sender: parcel for parcel in cohort.adverts()}
    stolen = bundle[owner].message.value
    assert isinstance(stolen, Advert)
    assert callable(copy)
    advert = Advert(setup_hash=cohort.setup.hash, party=thief, mask_pk=copy(stolen.mask_pk))
    bundle[thief] = Parcel(message=attested(advert))
    assert victim not in (thief, owner)
    return cohort, tuple(bundle.values())


def seen(victim: str, thief: str, owner: str, copy: object) -> list[int]:
    """What the aggregator sees of the victim's masked vector."""
    cohort, bundle = attacked(victim, thief, owner, copy)
    cohort.parties[victim].give(Delivered(parcels=bundle))
    return ring.to_ints(ring.from_bytes(b"".join(cohort.contribute(victim, SECRET).chunks)))


@pytest.fixture
def copies_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: no key is refused for being a copy or not canonical."""
    monkeypatch.setattr(checks, "distinct", lambda *_: None)
    monkeypatch.setattr(agreement, "canonical_point", lambda public: len(public) == 32)


def plant(monkeypatch: pytest.MonkeyPatch, *, names: bool, keys: bool) -> None:
    """The planted fault: names or keys of the pair are left out of the KDF."""

    def info(binding: Binding, low: Side, high: Side) -> bytes:
        parts = [binding.spec_hash, binding.adverts_hash, binding.u2_hash]
        parts += [low.party.encode(), high.party.encode()] if names else []
        parts += [low.mask_pk, high.mask_pk] if keys else []
        return b"".join(parts)

    monkeypatch.setattr(masks, "pair_info", info)


@pytest.mark.parametrize("copy", COPIES)
def test_a_copied_or_aliased_key_is_refused(copy: object) -> None:
    cohort, bundle = attacked("p1", "p0", "p2", copy)
    with pytest.raises(ProtocolViolation):
        cohort.parties["p1"].give(Delivered(parcels=bundle))


@pytest.mark.usefixtures("copies_pass")
@pytest.mark.parametrize("copy", COPIES)
def test_if_copies_pass_the_kdf_still_hides_the_victim(copy: object) -> None:
    for victim, thief, owner in (("p1", "p0", "p2"), ("p1", "p2", "p0"), ("p0", "p1", "p2"), ("p2", "p0", "p1")):
        masked = seen(victim, thief, owner, copy)
        assert all(abs(y - x) > 2**100 for x, y in zip(SECRET, masked, strict=True))


@pytest.mark.usefixtures("copies_pass")
@pytest.mark.parametrize("copy", COPIES)
def test_the_planted_fault_of_a_kdf_without_names_and_keys_opens_the_victim(
    copy: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, names=False, keys=False)
    assert seen("p1", "p0", "p2", copy) == SECRET  # the mask that p1 adds for p2 is the one that it subtracts for p0


@pytest.mark.usefixtures("copies_pass")
def test_the_planted_fault_of_a_kdf_without_names_leaks_through_a_copied_key(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, names=False, keys=True)
    masked = seen("p0", "p1", "p2", copied)  # both masks of p0 are one and the same, added twice
    assert [y % 2 for y in masked] == [x % 2 for x in SECRET]


@pytest.mark.usefixtures("copies_pass")
@pytest.mark.parametrize("copy", [copied, aliased])
def test_names_alone_would_hide_the_victim(copy: object, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, names=True, keys=False)
    assert all(abs(y - x) > 2**100 for x, y in zip(SECRET, seen("p1", "p0", "p2", copy), strict=True))


# --- every input of the KDF ------------------------------------------------------------------------------------------

BINDING = Binding(spec_hash=b"s" * 32, adverts_hash=b"a" * 32, u2_hash=b"u" * 32)
KEYS = {name: agreement.key_pair(hashlib.sha256(name.encode()).digest()) for name in ("p0", "p1", "other")}
LOW, HIGH = (Side(party=name, mask_pk=KEYS[name][1]) for name in ("p0", "p1"))
OTHERS: dict[str, tuple[Binding, Side, Side]] = {
    "spec_hash": (Binding(spec_hash=b"x" * 32, adverts_hash=b"a" * 32, u2_hash=b"u" * 32), LOW, HIGH),
    "adverts_hash": (Binding(spec_hash=b"s" * 32, adverts_hash=b"x" * 32, u2_hash=b"u" * 32), LOW, HIGH),
    "u2_hash": (Binding(spec_hash=b"s" * 32, adverts_hash=b"a" * 32, u2_hash=b"x" * 32), LOW, HIGH),
    "id_lo": (BINDING, Side(party="o0", mask_pk=LOW.mask_pk), HIGH),
    "id_hi": (BINDING, LOW, Side(party="q1", mask_pk=HIGH.mask_pk)),
    "mask_pk_lo": (BINDING, Side(party="p0", mask_pk=KEYS["other"][1]), HIGH),
    "mask_pk_hi": (BINDING, LOW, Side(party="p1", mask_pk=aliased(HIGH.mask_pk))),  # X25519 itself would not change
}


def seed(binding: Binding, low: Side, high: Side) -> bytes:
    return masks.pair_seed(KEYS["p0"][0], low, high, binding)


@pytest.mark.parametrize("name", OTHERS)
def test_changing_any_one_input_changes_the_mask(name: str) -> None:
    assert seed(*OTHERS[name]) != seed(BINDING, LOW, HIGH)


def test_another_label_changes_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    before = seed(BINDING, LOW, HIGH)
    monkeypatch.setattr(masks, "PAIR_LABEL", b"another use")
    assert seed(BINDING, LOW, HIGH) != before


@pytest.mark.parametrize(("name", "at"), [(name, at) for at, name in enumerate(OTHERS, 1)])
def test_the_planted_fault_of_an_input_left_out_is_caught(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = masks.pair_info

    def without(binding: Binding, low: Side, high: Side) -> bytes:
        rest, parts = whole(binding, low, high), []
        while rest:
            size = int.from_bytes(rest[:4], "big")
            parts.append(rest[4 : 4 + size])
            rest = rest[4 + size :]
        assert len(parts) == 1 + len(OTHERS)
        return b"|".join(part for place, part in enumerate(parts) if place != at)

    monkeypatch.setattr(masks, "pair_info", without)
    with pytest.raises(AssertionError):
        test_changing_any_one_input_changes_the_mask(name)


def test_parts_of_the_kdf_input_cannot_run_into_each_other() -> None:
    one = masks.pair_info(BINDING, Side(party="p", mask_pk=b"k"), Side(party="qr", mask_pk=b"k"))
    other = masks.pair_info(BINDING, Side(party="pq", mask_pk=b"k"), Side(party="r", mask_pk=b"k"))
    assert one != other


def test_both_sides_of_a_pair_derive_one_seed() -> None:
    assert masks.pair_seed(KEYS["p0"][0], LOW, HIGH, BINDING) == masks.pair_seed(KEYS["p1"][0], HIGH, LOW, BINDING)


# --- different views -------------------------------------------------------------------------------------------------


def test_a_split_view_of_the_adverts_opens_nothing_and_is_named() -> None:
    """The relay and p2 show p0 and p1 different signed adverts of p2: the sum is noise, and p0 refuses p1's head."""
    cohort = Cohort(3)
    bundle = cohort.adverts()
    second = Cohort(3).begin("p2", salt="a second key")
    cohort.parties["p0"].give(Delivered(parcels=bundle))
    cohort.parties["p1"].give(Delivered(parcels=(*bundle[:2], second)))
    cohort.parties["p2"].give(Delivered(parcels=bundle))
    heads = [cohort.contribute(party, [1]) for party in cohort.parties]
    values = [parcel.message.value for parcel in heads]
    assert len({value.u2_hash for value in values if isinstance(value, Head)}) == 2
    total = masks.summed({parcel.message.sender: parcel.chunks for parcel in heads})
    assert abs(ring.to_ints(ring.from_bytes(total))[0]) > 2**100  # even whoever adds it up sees noise
    with pytest.raises(ProtocolViolation, match="one for others"):
        cohort.parties["p0"].give(Delivered(parcels=tuple(heads)))
    assert not cohort.parties["p0"].released
