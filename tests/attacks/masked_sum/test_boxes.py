"""Boxes of shares: one message a key, one key a direction, and a box that means one dealer, one holder, one sum.

X25519 gives both directions of a pair one secret, and GCM under one key and nonce twice shows how two plaintexts
differ. So names and both keys are in the key of a box; here they are taken out, and what that costs is shown.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import permutations

import pytest

from federation.crypto import agreement, shamir
from federation.crypto.aead import seal
from federation.errors import Misuse, ProtocolViolation
from federation.ledger import merkle
from federation.protocols.events import Delivered, Parcel
from federation.protocols.masked_sum import checks, masks, party
from federation.protocols.masked_sum.masks import Side
from federation.protocols.masked_sum.messages import Shares
from tests.attacks.masked_sum.malice import for_one
from tests.protocols.cohort import Cohort, attested, entropy, names, remember_exchanges

KEYS = 100_000
Sealed = list[tuple[bytes, bytes, bytes]]  # key, plaintext, box


def dealing(n: int = 3, monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[Cohort, dict[str, Parcel], Sealed]:
    """Parties who have dealt their shares; what each says, and every key and plaintext that was sealed."""
    sealed: Sealed = []

    def watched(key: bytes, plaintext: bytes, associated: bytes) -> bytes:
        box = seal(key, plaintext, associated)
        sealed.append((key, plaintext, box))
        return box

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(party, "seal", watched)
        cohort = Cohort(n)
        cohort.adverts()
        said = {name: cohort.deliver(name)[0] for name in names(n)}
    return cohort, said, sealed


def resigned(parcel: Parcel, boxes: Mapping[int, bytes]) -> Parcel:
    """A dealer's shares with other boxes, under a root to match, signed so."""
    value = parcel.message.value
    assert isinstance(value, Shares)
    chunks = tuple(boxes.get(place, box) for place, box in enumerate(parcel.chunks))
    root = merkle.root([merkle.leaf_hash(box) for box in chunks])
    false = Shares(
        setup_hash=value.setup_hash,
        adverts_hash=value.adverts_hash,
        party=value.party,
        commitment=value.commitment,
        boxes_root=root,
    )
    return Parcel(message=attested(false), chunks=chunks)


# --- one message a key, one key a direction --------------------------------------------------------------------------


def test_both_directions_of_a_pair_have_different_keys() -> None:
    _, _, sealed = dealing(5)
    keys = [key for key, _, _ in sealed]
    assert len(keys) == 5 * 4
    assert len(set(keys)) == len(keys)


def symmetric(secret: bytes, source: Side, target: Side, adverts_hash: bytes) -> bytes:
    """The planted fault: what X25519 gives, with the parts in one order for both directions."""
    low, high = sorted((source, target), key=lambda side: side.party)
    info = b"".join((adverts_hash, low.party.encode(), high.party.encode(), low.enc_pk, high.enc_pk))
    return agreement.derive(secret, info)


def test_the_planted_fault_of_one_key_for_both_directions_tells_how_shares_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def differ() -> list[bool]:
        """For each pair: whether two boxes differ as their contents do."""
        _, _, sealed = dealing()
        found = []
        for (_, left, box), (_, right, other) in permutations(sealed, 2):
            between = bytes(a ^ b for a, b in zip(box, other, strict=True))
            found.append(between[: len(left)] == bytes(a ^ b for a, b in zip(left, right, strict=True)))
        return found

    assert not any(differ())
    monkeypatch.setattr(masks, "box_key", symmetric)
    assert sum(differ()) == 6, "three pairs, read in both orders: a party's own share opens its peer's"


def test_no_key_serves_two_boxes_nor_two_masks_in_a_hundred_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many sums in which everybody has the same entropy for ever: the worst case for keys that must be new."""
    remember_exchanges(monkeypatch)
    sides = {}
    for number in range(8):
        private, public = agreement.key_pair(hashlib.sha256(bytes([number])).digest())
        sides[f"p{number}"] = (private, Side(party=f"p{number}", enc_pk=public, mask_pk=public))
    seen: set[bytes] = set()
    count = 0
    for number in range(KEYS // (8 * 7 + 8 * 7 // 2) + 1):
        binding = masks.Binding(spec_hash=hash_of(number), adverts_hash=hash_of(number), u2_hash=hash_of(number))
        for source, target in permutations(sides, 2):
            private, mine = sides[source]
            (secret,) = masks.box_secrets(private, [sides[target][1]])
            seen.add(masks.box_key(secret, mine, sides[target][1], binding.adverts_hash))
            count += 1
            if source < target:
                seen.add(masks.pair_seed(private, mine, sides[target][1], binding))
                count += 1
    assert count >= KEYS
    assert len(seen) == count, "a key came twice"


def hash_of(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


def test_no_key_seed_or_mask_of_real_sums_comes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds and attempts of one job, with the same entropy: every secret and every sealed box has a key of its own."""
    keys: Counter[bytes] = Counter()
    streams: Counter[bytes] = Counter()
    blind = masks.masked

    def watched(vector: bytes, ring: str, on: masks.Streams) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        streams.update((*on.add, *on.subtract))
        return blind(vector, ring, on)

    monkeypatch.setattr(party, "seal", lambda key, *rest: keys.update([key]) or seal(key, *rest))  # type: ignore[func-returns-value]
    monkeypatch.setattr(masks, "masked", watched)
    sums = [(index, attempt) for index in range(12) for attempt in range(2)]
    for index, attempt in sums:
        cohort = Cohort(8, round_index=index, attempt=attempt)
        cohort.total({name: [1] for name in names(8)})
    assert len(keys) == len(sums) * 8 * 7
    assert set(keys.values()) == {1}, "one message a key"
    assert len(streams) == len(sums) * (8 + 8 * 7 // 2)
    assert max(streams.values()) == 2, "a pair's mask is put on by both, once each; nobody's is put on twice"


def test_the_planted_fault_of_keys_that_do_not_know_their_sum_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    made = masks.secrets_of
    monkeypatch.setattr(masks, "secrets_of", lambda entropy, _setup: made(entropy, Cohort(8).setup))
    monkeypatch.setattr(masks, "hash_of_adverts", lambda *_: b"a" * 32)
    with pytest.raises(AssertionError):
        test_no_key_seed_or_mask_of_real_sums_comes_twice(monkeypatch)


# --- a box in another place ------------------------------------------------------------------------------------------

# (what p2 does) -> its boxes for p0 and p1, given everybody's
MISPLACED: dict[str, Callable[[Mapping[str, Parcel]], dict[int, bytes]]] = {
    "reflected": lambda said: {1: said["p1"].chunks[1]},  # what p1 sealed for p2 comes back to p1
    "of another dealer": lambda said: {1: said["p0"].chunks[0]},
    "for another holder": lambda said: {0: said["p2"].chunks[1], 1: said["p2"].chunks[0]},
}


@pytest.mark.parametrize("how", MISPLACED)
def test_a_box_in_another_place_does_not_open_and_its_dealer_is_named(how: str) -> None:
    cohort, said, _ = dealing()
    said["p2"] = resigned(said["p2"], MISPLACED[how](said))
    with pytest.raises(ProtocolViolation, match="a box that p1 can open") as caught:
        cohort.parties["p1"].give(Delivered(parcels=for_one(said, "p1")))
    assert caught.value.party == "p2"


@pytest.mark.parametrize("how", MISPLACED)
def test_either_of_key_and_associated_data_would_hold_it(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "box_key", symmetric)
    test_a_box_in_another_place_does_not_open_and_its_dealer_is_named(how)
    monkeypatch.undo()
    monkeypatch.setattr(masks, "box_label", lambda *_: b"")
    test_a_box_in_another_place_does_not_open_and_its_dealer_is_named(how)


def test_the_planted_fault_of_neither_lets_a_reflected_box_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """p1 would keep its own shares as p2's, and give them away as such: shares of its own secrets, at another place."""
    monkeypatch.setattr(masks, "box_key", symmetric)
    monkeypatch.setattr(masks, "box_label", lambda *_: b"")
    monkeypatch.setattr(party, "_digests", lambda *_: bytes(64))
    cohort, said, _ = dealing()
    said["p2"] = resigned(said["p2"], MISPLACED["reflected"](said))
    cohort.parties["p1"].give(Delivered(parcels=for_one(said, "p1")))
    of_seed = shamir.split(
        masks.secrets_of(entropy("p1"), cohort.setup).seed,
        3,
        3,
        masks.secrets_of(entropy("p1"), cohort.setup).seed_polynomial,
    )
    assert cohort.parties["p1"].state.held[2][0] == of_seed[2], "p2's share of p1's seed, as if it were of p2's seed"  # type: ignore[attr-defined]


def test_a_list_that_is_cut_short_and_a_box_of_another_place_are_the_relay_s_doing() -> None:
    cohort, said, _ = dealing(4)
    honest = for_one(said, "p1")
    wrong = for_one(said, "p0")
    for false in (
        honest[:2],
        (*honest[:3], wrong[3]),
        (honest[0], honest[1], honest[2], Parcel(message=honest[3].message)),
    ):
        with pytest.raises(ProtocolViolation) as caught:
            cohort.parties["p1"].give(Delivered(parcels=tuple(false)))
        assert caught.value.party == "relay"
    cohort.parties["p1"].give(Delivered(parcels=honest))


def test_the_planted_fault_of_a_root_that_is_not_looked_at_blames_the_dealer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "own_box", lambda _value, chunks, *_: chunks[0] if chunks else b"")
    cohort, said, _ = dealing(4)
    honest, wrong = for_one(said, "p1"), for_one(said, "p0")
    with pytest.raises(ProtocolViolation) as caught:
        cohort.parties["p1"].give(Delivered(parcels=(*honest[:3], wrong[3])))
    assert caught.value.party == "p3", "an honest dealer, for what the relay did"


# --- shares ----------------------------------------------------------------------------------------------------------


def test_fewer_than_t_shares_fit_every_secret_equally_well() -> None:
    """For any two secrets there is a polynomial through the same t - 1 shares: they tell nothing."""
    secret, t, n = b"\x07" * 32, 4, 6
    shares = shamir.split(secret, t, n, b"e" * 32)
    known = shares[: t - 1]
    for other in (bytes(32), b"\x07" * 31 + b"\x08", b"\xff" * 32):
        points = [(0, int.from_bytes(other, "big"))] + [(i + 1, int.from_bytes(s, "big")) for i, s in enumerate(known)]
        fourth = value_at(t, points).to_bytes(33, "big")
        assert shamir.combined(shamir.weights(range(t)), [*known, fourth]) == other
    assert shamir.combined(shamir.weights(range(t)), shares[:t]) == secret


def value_at(x: int, points: list[tuple[int, int]]) -> int:
    """The polynomial through these points, at x, modulo the prime."""
    total = 0
    for place, value in points:
        term = value
        for other, _ in points:
            if other != place:
                term = term * (x - other) * pow(place - other, -1, shamir.PRIME) % shamir.PRIME
        total += term
    return total % shamir.PRIME


def test_a_wrong_share_gives_another_secret_and_the_same_place_twice_none() -> None:
    shares = shamir.split(b"s" * 32, 3, 5, b"e" * 32)
    weights = shamir.weights((0, 1, 2))
    assert shamir.combined(weights, shares[:3]) == b"s" * 32
    assert shamir.combined(weights, (shares[0], shares[1], shares[3])) != b"s" * 32
    for places in ((0, 0, 1), (-1, 0, 1), ()):  # -1 would be x = 0, where the secret itself lies
        with pytest.raises(Misuse):
            shamir.weights(places)
    for share in (b"", b"x" * 32, b"\xff" * 33):
        with pytest.raises(shamir.BadShare):
            shamir.combined(weights, (share, shares[1], shares[2]))


def test_no_share_is_the_secret_itself() -> None:
    with pytest.raises(Misuse):
        shamir.split(b"s" * 32, 1, 3, b"e" * 32)
