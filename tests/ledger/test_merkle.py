"""RFC 6962 Merkle trees against the definition and against published roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Misuse
from federation.ledger import merkle

# The reference test tree of certificate-transparency logs and its roots by size (1 to 8 leaves).
LEAVES = [
    bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "60616263646566676869")
]
LEAVES[7] += bytes.fromhex("6a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def recursive(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + recursive(leaves[:k]) + recursive(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize("size", range(70))
def test_roots_follow_the_definition(size: int) -> None:
    leaves = [bytes([i]) for i in range(size)]
    assert merkle.root([merkle.leaf_hash(leaf) for leaf in leaves]) == recursive(leaves)


@pytest.mark.parametrize("size", range(1, 40))
def test_every_leaf_is_proven_at_its_place_and_nowhere_else(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(size)]
    tree = merkle.root(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle.inclusion(leaves, index)
        places = [i for i in range(-1, size + 1) if merkle.included(tree, leaf, i, size, path)]
        assert places == [index]


@given(data=st.data(), size=st.integers(2, 33))
def test_an_altered_proof_proves_nothing(data: st.DataObject, size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = list(merkle.inclusion(leaves, index))
    at = data.draw(st.integers(0, len(path) - 1))
    change = data.draw(st.sampled_from(["flip", "drop", "add"]))
    if change == "flip":
        path[at] = bytes([path[at][0] ^ 1]) + path[at][1:]
    elif change == "drop":
        del path[at]
    else:
        path.insert(at, path[at])
    assert not merkle.included(merkle.root(leaves), leaves[index], index, size, path)


def test_a_node_never_passes_as_a_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.leaf_hash(left + right) != merkle.root([left, right])


def test_a_repeated_last_leaf_changes_the_root() -> None:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(3)]
    assert merkle.root(leaves) != merkle.root([*leaves, leaves[-1]])


def test_the_planted_fault_of_unprefixed_hashes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merkle, "node_hash", lambda left, right: hashlib.sha256(b"\x00" + left + right).digest())
    with pytest.raises(AssertionError):
        test_a_node_never_passes_as_a_leaf()


def test_the_planted_fault_of_a_padded_level_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def padded(level: list[bytes]) -> list[bytes]:
        even = [*level, level[-1]] if len(level) % 2 else level
        return [merkle.node_hash(even[i], even[i + 1]) for i in range(0, len(even), 2)]

    monkeypatch.setattr(merkle, "_above", padded)
    with pytest.raises(AssertionError):
        test_a_repeated_last_leaf_changes_the_root()


def test_a_leaf_outside_the_tree_is_misuse() -> None:
    with pytest.raises(Misuse, match="no leaf 2"):
        merkle.inclusion([b"a" * 32, b"b" * 32], 2)


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_all_paths_at_once_are_the_paths_one_by_one(data: list[bytes]) -> None:
    leaves = [merkle.leaf_hash(item) for item in data]
    assert merkle.inclusions(leaves) == [merkle.inclusion(leaves, place) for place in range(len(leaves))]
