"""Merkle tree hashes as in RFC 6962 section 2.1: SHA-256, leaves prefixed 0x00, inner nodes 0x01, no padding.

The prefixes keep a leaf from passing as a node; an unpaired subtree moves up as it is, so that no two lists of leaves
have one root (duplicating the last leaf, as some trees do, would allow that).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from federation.errors import Misuse


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 | data), 32 bytes."""
    state = hashlib.sha256(b"\x00")
    state.update(data)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 | left | right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes in order; of no leaves SHA-256 of nothing, of one leaf that leaf hash."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def inclusion(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the audit path of leaf `index`, from the leaf upwards.

    Raises:
        Misuse: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise Misuse(f"a tree of {len(leaves)} leaves has no leaf {index}")
    path, level = [], list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _above(level), index // 2
    return tuple(path)


def inclusions(leaves: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Return the audit path of every leaf, as `inclusion` does for one; the tree is made once."""
    paths: list[list[bytes]] = [[] for _ in leaves]
    level, height = list(leaves), 0
    while len(level) > 1:
        for index, path in enumerate(paths):
            sibling = (index >> height) ^ 1
            if sibling < len(level):
                path.append(level[sibling])
        level, height = _above(level), height + 1
    return [tuple(path) for path in paths]


def included(tree: bytes, leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bool:
    """Return whether `path` proves leaf hash `leaf` at `index` of a tree of `size` leaves with root `tree`.

    Foreign values never raise: an index outside the tree or a path of a wrong length is False.
    """
    if not 0 <= index < size:
        return False
    last, node, rest = size - 1, leaf, list(path)
    while last:
        if index % 2 or index < last:  # it has a sibling; the unpaired last node of a level moves up as it is
            if not rest:
                return False
            sibling = rest.pop(0)
            node = node_hash(sibling, node) if index % 2 else node_hash(node, sibling)
        index, last = index // 2, last // 2
    return not rest and node == tree


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs
