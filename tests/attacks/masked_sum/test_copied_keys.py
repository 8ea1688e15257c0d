"""A corrupt party registers another's mask key, or an alias of it, so that two masks of its victim cancel.

Three things stand in the way: keys that are equal or aliases are refused; the names of both parties are in the KDF;
both public keys are in the KDF. Each is taken away in turn to show what the others do and what it costs to have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.crypto import agreement, ring
from federation.errors import ProtocolViolation
from federation.protocols.events import Delivered, Parcel
from federation.protocols.masked_sum import checks, masks
from federation.protocols.masked_sum.masks import Binding, Side
from federation.protocols.masked_sum.messages import Advert
from tests.attacks.masked_sum.malice import bare, dealt, for_one
from tests.protocols.cohort import Cohort, attested, entropy

SECRET = [4_211, -77, 10**30]
Copy = Callable[[bytes], bytes]


def copied(key: bytes) -> bytes:
    return key


def aliased(key: bytes) -> bytes:
    """1/u: P + T for the point T of order two; other bytes, the same secret with everybody."""
    return pow(int.from_bytes(key, "little"), -1, agreement.PRIME).to_bytes(32, "little")


def top_bit(key: bytes) -> bytes:
    """The bit that X25519 masks off; a search for equal bytes misses it."""
    return key[:31] + bytes([key[31] | 0x80])


COPIES = (copied, aliased, top_bit)


def attacked(victim: str, thief: str, owner: str, copy: Copy) -> tuple[Cohort, tuple[Parcel, ...]]:
    """A cohort before its adverts are delivered, and the bundle in which `thief` has a copy of `owner`'s mask key."""
    cohort = Cohort(3, len(SECRET))
    bundle = {parcel.message.sender: parcel for parcel in cohort.adverts()}
    stolen, own = bundle[owner].message.value, bundle[thief].message.value
    assert isinstance(stolen, Advert)
    assert isinstance(own, Advert)
    bundle[thief] = Parcel(message=attested(replace(own, mask_pk=copy(stolen.mask_pk))))
    assert victim not in (thief, owner)
    return cohort, tuple(bundle.values())


def seen(victim: str, thief: str, owner: str, copy: Copy) -> list[int]:
    """What the aggregator sees of the victim's vector, once the mask of its own is opened, as it always is."""
    cohort, bundle = attacked(victim, thief, owner, copy)
    shares = dealt(cohort, dict.fromkeys(cohort.parties, bundle))
    machine = cohort.parties[victim]
    machine.give(Delivered(parcels=for_one(shares, victim)))
    chunks = cohort.contribute(victim, SECRET).chunks
    seed = masks.secrets_of(entropy(victim), cohort.setup).seed
    return ring.to_ints(ring.from_bytes(bare(machine.state, chunks, seed, None)))  # type: ignore[arg-type]


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
def test_a_copied_or_aliased_key_is_refused(copy: Copy) -> None:
    cohort, bundle = attacked("p1", "p0", "p2", copy)
    with pytest.raises(ProtocolViolation):
        cohort.parties["p1"].give(Delivered(parcels=bundle))


@pytest.mark.usefixtures("copies_pass")
@pytest.mark.parametrize("copy", COPIES)
def test_if_copies_pass_the_kdf_still_hides_the_victim(copy: Copy) -> None:
    for victim, thief, owner in (("p1", "p0", "p2"), ("p1", "p2", "p0"), ("p0", "p1", "p2"), ("p2", "p0", "p1")):
        masked = seen(victim, thief, owner, copy)
        assert all(abs(y - x) > 2**100 for x, y in zip(SECRET, masked, strict=True))


@pytest.mark.usefixtures("copies_pass")
@pytest.mark.parametrize("copy", COPIES)
def test_the_planted_fault_of_a_kdf_without_names_and_keys_opens_the_victim(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
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
def test_names_alone_would_hide_the_victim(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, names=True, keys=False)
    assert all(abs(y - x) > 2**100 for x, y in zip(SECRET, seen("p1", "p0", "p2", copy), strict=True))


# --- every input of the KDF ------------------------------------------------------------------------------------------

BINDING = Binding(spec_hash=b"s" * 32, adverts_hash=b"a" * 32, u2_hash=b"u" * 32)
KEYS = {name: agreement.key_pair(hashlib.sha256(name.encode()).digest()) for name in ("p0", "p1", "other")}
LOW, HIGH = (Side(party=name, enc_pk=KEYS["other"][1], mask_pk=KEYS[name][1]) for name in ("p0", "p1"))
OTHERS: dict[str, tuple[Binding, Side, Side]] = {
    "spec_hash": (Binding(spec_hash=b"x" * 32, adverts_hash=b"a" * 32, u2_hash=b"u" * 32), LOW, HIGH),
    "adverts_hash": (Binding(spec_hash=b"s" * 32, adverts_hash=b"x" * 32, u2_hash=b"u" * 32), LOW, HIGH),
    "u2_hash": (Binding(spec_hash=b"s" * 32, adverts_hash=b"a" * 32, u2_hash=b"x" * 32), LOW, HIGH),
    "id_lo": (BINDING, replace(LOW, party="o0"), HIGH),
    "id_hi": (BINDING, LOW, replace(HIGH, party="q1")),
    "mask_pk_lo": (BINDING, replace(LOW, mask_pk=KEYS["other"][1]), HIGH),
    "mask_pk_hi": (BINDING, LOW, replace(HIGH, mask_pk=aliased(HIGH.mask_pk))),  # X25519 itself would not change
}


def seed(binding: Binding, low: Side, high: Side) -> bytes:
    return masks.pair_seed(KEYS["p0"][0], low, high, binding)


@pytest.mark.parametrize("name", OTHERS)
def test_changing_any_one_input_changes_the_mask(name: str) -> None:
    assert seed(*OTHERS[name]) != seed(BINDING, LOW, HIGH)


def test_another_label_changes_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    before = seed(BINDING, LOW, HIGH)
    monkeypatch.setattr(masks, "LABEL", "another use")
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
    one = masks.pair_info(
        BINDING, Side(party="p", enc_pk=b"", mask_pk=b"k"), Side(party="qr", enc_pk=b"", mask_pk=b"k")
    )
    other = masks.pair_info(
        BINDING, Side(party="pq", enc_pk=b"", mask_pk=b"k"), Side(party="r", enc_pk=b"", mask_pk=b"k")
    )
    assert one != other


def test_both_sides_of_a_pair_derive_one_seed() -> None:
    assert masks.pair_seed(KEYS["p0"][0], LOW, HIGH, BINDING) == masks.pair_seed(KEYS["p1"][0], HIGH, LOW, BINDING)
