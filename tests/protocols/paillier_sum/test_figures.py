"""What a sum under a joint key opens: exactly the plain sum, as masks do; and no blinding serves twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation import registry
from federation.crypto.paillier.draws import Draws
from federation.crypto.paillier.engine import Engine
from federation.crypto.ring import CHUNK_BYTES
from federation.errors import Misuse
from federation.protocols.events import Contribute, Parcel, Received
from federation.protocols.paillier_sum import PaillierSum, checking, party
from federation.protocols.paillier_sum.terms import Terms
from federation.protocols.secure_sum import SecureSum
from tests.protocols.cohort import Cohort, entropy, names
from tests.protocols.paillier_sum.holders import Holders, plain

WIDTHS = (1, 2, 8, 33, 64, 127, 128)


def test_the_protocol_is_found_by_its_name() -> None:
    assert registry.look_up("federation.protocols", SecureSum, "paillier_sum") is PaillierSum
    assert PaillierSum.name == "paillier_sum"


def extremes(bits: int) -> list[int]:
    """The numbers of so many bits that are most likely to go wrong."""
    half = 1 << (bits - 1)
    return sorted({n for n in (-half, -half + 1, -1, 0, 1, half - 2, half - 1) if -half <= n < half})


@given(data=st.data(), n=st.integers(3, 5), bits=st.sampled_from(WIDTHS), length=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_opened_total_is_the_plain_sum(data: st.DataObject, n: int, bits: int, length: int) -> None:
    half = 1 << (bits - 1)
    number = st.one_of(st.sampled_from(extremes(bits)), st.integers(-half, half - 1))
    vectors = {p: data.draw(st.lists(number, min_size=length, max_size=length)) for p in names(n)}
    assert Holders(n, length, value_bits=bits).total(vectors) == plain(vectors)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("n", [3, 4, 5])
def test_every_extreme_of_every_width_adds_up(n: int, bits: int) -> None:
    edge = extremes(bits)
    for column in ([edge[0]] * n, [edge[-1]] * n, [edge[0], edge[-1], *[edge[0]] * (n - 2)]):
        vectors = {p: [number] for p, number in zip(names(n), column, strict=True)}
        assert Holders(n, value_bits=bits).total(vectors) == plain(vectors)


def test_the_same_numbers_open_to_the_same_bytes_as_with_masks() -> None:
    vectors = {"p0": [-(1 << 127), 5, 0], "p1": [-1, -6, 0], "p2": [1 << 100, 1, 0]}
    holders, masked = Holders(3, 3), Cohort(3, 3)
    assert holders.total(vectors) == masked.total(vectors)
    assert holders.aggregator.released[0].total == masked.aggregator.released[0].total
    assert holders.aggregator.released[0].parties == masked.aggregator.released[0].parties


def test_a_vector_of_several_chunks_adds_up() -> None:
    length = 7000
    vectors = {p: [(i + 1) * (-1) ** j * j**5 for j in range(length)] for i, p in enumerate(names(3))}
    holders = Holders(3, length)
    holders.joined()
    cipher = holders.branch().contribute("p0", vectors["p0"])
    assert len(cipher.chunks) == 2
    assert len(cipher.chunks[0]) == CHUNK_BYTES
    for p in names(3):
        holders.receive(Received(parcel=holders.contribute(p, vectors[p])))
    for p in names(3):
        answer = holders.deliver(p)
        assert answer is not None
        holders.receive(Received(parcel=answer))
    holders.deliver("p1")
    assert holders.parties["p1"].released[0].numbers == plain(vectors)


def counted(n: int) -> list[int]:
    """Who was counted how often: party i contributes 16^i, so digit i of the total is how often it was."""
    (total,) = Holders(n).total({p: [16**i] for i, p in enumerate(names(n))})
    return [(total >> (4 * i)) % 16 for i in range(n)]


@pytest.mark.parametrize("n", range(3, 8))
def test_every_party_is_counted_exactly_once(n: int) -> None:
    assert counted(n) == [1] * n


@pytest.mark.parametrize("times", [0, 2])
def test_the_planted_fault_of_a_party_dropped_or_doubled_is_caught(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = checking.multiplied

    def other(terms: Terms, found: Mapping[str, Parcel], columns: Mapping[str, Sequence[int]]) -> checking.Collected:
        first, second, *rest = columns.values()
        counted_so = [first, *[second] * times, *rest]
        return honest(terms, found, {str(place): column for place, column in enumerate(counted_so)})

    monkeypatch.setattr(checking, "multiplied", other)
    with pytest.raises(AssertionError):
        assert counted(3) == [1] * 3


# --- what does not fit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "number"), [(8, 128), (8, -129), (64, 1 << 63), (1, 1), (127, 1 << 126)])
def test_a_number_that_does_not_fit_is_refused_before_anything_is_sent(bits: int, number: int) -> None:
    holders = Holders(3, 2, value_bits=bits)
    holders.joined()
    machine = holders.parties["p0"]
    before, sent = machine.state, len(machine.effects)
    with pytest.raises(Misuse, match=f"does not fit {bits} bits") as caught:
        holders.contribute("p0", [0, number])
    assert caught.value.message == f"a number that does not fit {bits} bits", "and which one, it does not say"
    assert machine.state == before
    assert len(machine.effects) == sent
    holders.contribute("p0", [0, 0])


def test_narrow_numbers_take_fewer_ciphertexts() -> None:
    wide, narrow = Holders(3, 60), Holders(3, 60, value_bits=20)
    counts = [Terms.of(holders.spec, holders.joint).ciphertexts for holders in (wide, narrow)]
    assert counts == [20, 3]


# --- what is drawn --------------------------------------------------------------------------------------------------


def blindings(play: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """What was encrypted under each alpha while `play` ran."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    honest = Engine.encrypt

    def watched(self: Engine, plaintexts: Sequence[int], alphas: Sequence[int] | None = None) -> list[int]:
        assert alphas is not None
        for alpha, plaintext in zip(alphas, plaintexts, strict=True):
            found[alpha].add(plaintext)
        return honest(self, plaintexts, alphas)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "encrypt", watched)
        play()
    return found


def many_contributions() -> None:
    """One party with one entropy encrypts different vectors, for different specs: what a driver must not let happen."""
    for transcript in (b"t" * 32, b"u" * 32):
        for bits in (64, 65):
            holders = Holders(3, 8, transcript=transcript, value_bits=bits)
            holders.joined()
            for shift in range(6):
                holders.branch().contribute("p0", [shift + place for place in range(8)])
                holders.branch().contribute("p0", [shift] * 8)


def test_no_blinding_ever_serves_two_plaintexts_even_where_entropy_serves_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = blindings(many_contributions, monkeypatch)
    assert len(found) == 4 * 6 * (2 + 2)
    assert all(len(plaintexts) == 1 for plaintexts in found.values())


def test_the_planted_fault_of_blindings_that_do_not_know_what_they_blind_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "_draws", lambda _self, what, *_parts: Draws(bytes(32), b"careless", what))
    found = blindings(many_contributions, monkeypatch)
    assert any(len(plaintexts) > 1 for plaintexts in found.values())


def test_equal_numbers_look_different_in_every_place_party_spec_and_setup() -> None:
    seen: list[bytes] = []
    for holders in (
        Holders(3, 3),
        Holders(3, 3, transcript=b"u" * 32),
        Holders(3, 3, attempt=1),
        Holders(3, 3, salt="x"),
    ):
        holders.joined()
        for p in names(3):
            (chunk,) = holders.contribute(p, [7, 7, 7]).chunks
            seen += [chunk[at : at + 128] for at in range(0, len(chunk), 128)]
    assert len(set(seen)) == len(seen)


def test_every_use_of_the_entropy_has_a_secret_of_its_own() -> None:
    one, other = Holders(3), Holders(3, transcript=b"u" * 32)
    drawn = [
        Terms.of(holders.spec, holders.joint).secret(entropy("p0"), what)
        for holders in (one, other)
        for what in ("blinding", "known", "opened")
    ]
    assert len(set(drawn)) == 6


def test_secrets_leave_the_state_when_they_have_served_and_no_state_or_event_prints_them() -> None:
    holders = Holders(3)
    printed = []
    secrets = [entropy("p0"), holders.shares["p0"].to_bytes()]
    number = str(abs(holders.shares["p0"].d))
    holders.ciphers({p: [5] for p in names(3)})
    machine = holders.parties["p0"]
    state = machine.state
    assert isinstance(state, party.Encrypted)
    assert "entropy" not in party.Encrypted.__dataclass_fields__
    printed.append(repr(state))
    secrets.append(state.nonce)
    holders.deliver("p0")
    assert isinstance(machine.state, party.Answered)
    assert not {"share", "entropy", "nonce"} & set(party.Answered.__dataclass_fields__)
    printed += [repr(event) for event in (*machine.events, *machine.effects)]
    printed += [repr(replace(holders.beginning("p0"))), repr(Contribute.of(holders.spec, [5]))]
    text = "\n".join(printed)
    assert "Cipher(" in text
    assert number not in text
    assert not any(repr(secret)[2:-1] in text or secret.hex() in text for secret in secrets)
