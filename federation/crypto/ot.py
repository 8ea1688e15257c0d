"""Oblivious transfer between two parties: a few by public keys, then millions by AES; pads modulo 16-bit numbers.

A chooser holds bits. For every bit the sender gets two pads, the chooser gets the one that its bit names: the sender
does not see the bit, the chooser learns nothing of the other pad. Products in two shares are made of that.

    offer, reply, grown, pruned   three messages, once for a pair and direction: 128 base transfers (Chou and Orlandi
                                  2015) in the 3072-bit group of RFC 3526, which give the chooser 32 trees of 16 seeds,
                                  and the sender the same trees without one seed each, at places that it keeps
    choose, answer                one message for any number of bits: SoftSpokenOT (Roy, CRYPTO 2022), semi-honest; a
                                  bit costs 4 bytes, where IKNP (CRYPTO 2003), the same with trees of two, takes 16

The last hash is pi(pi(x) ^ i) ^ pi(x) with AES-128 under a public key of the pair (Guo et al., S&P 2020), the number i
never twice in a session. Secret against whoever follows the protocol; a sender or chooser who deviates may learn bits.
Refused: group elements outside the subgroup, other lengths. Nothing here draws randomness: secrets are arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import gmpy2
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from gmpy2 import mpz
from numpy.typing import NDArray

from federation.crypto import agreement, blinding
from federation.crypto.prg import BLOCK_BYTES, room
from federation.errors import Misuse

Words = NDArray[np.uint64]
Residues = NDArray[np.uint16]

COLUMNS = 128  # of the matrix that both hold, shifted by the sender's secret: the security of the hash
DEPTH = 4  # of a tree; 1 is IKNP. A bit costs 128 / (8 DEPTH) bytes and 2^DEPTH streams for every DEPTH columns
TREES, LEAVES = COLUMNS // DEPTH, 1 << DEPTH
ROWS = 64  # transfers of a word, one a bit
MODULUS_BITS = 16
MOST_WORDS = 1024  # worked on at once: their columns fit a processor's cache
TOGETHER = 4  # trees whose streams are folded at once
SEED_BYTES = 32

GROUP_BITS = 3072
GROUP_BYTES = GROUP_BITS // 8
EXPONENT_BITS = 256
GENERATOR = 2

_LABEL = b"federation/ot/v1"
_SWAPS = (  # (distance, words with the low half of every double distance set)
    (32, 0x00000000FFFFFFFF),
    (16, 0x0000FFFF0000FFFF),
    (8, 0x00FF00FF00FF00FF),
    (4, 0x0F0F0F0F0F0F0F0F),
    (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)


class BadTransfer(ValueError):
    """A message that an honest peer does not send; the text says why and never quotes it."""


# --- once for a pair and direction -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """What a chooser keeps: every leaf of every tree.

    Attributes:
        context: 32 bytes that name session, chooser and sender.
        seeds: TREES * LEAVES seeds of 32 bytes.
    """

    context: bytes
    seeds: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a sender keeps: of every tree all leaves but the one at its secret place, which is zeros here.

    Attributes:
        context: as the chooser's.
        delta: 16 bytes; DEPTH bits a tree say which leaf is missing.
    """

    context: bytes
    delta: bytes = field(repr=False)
    seeds: bytes = field(repr=False)


def offer(secret: bytes, context: bytes) -> bytes:
    """Chooser: return the first message, 384 bytes, of 32 secret bytes that serve for this context only."""
    return _element(gmpy2.powmod(GENERATOR, _exponents(secret, context, b"offer", 1)[0], _prime()))


def reply(secret: bytes, context: bytes, offered: bytes) -> bytes:
    """Sender: return the second message, 128 group elements, of 32 secret bytes that serve for this context only.

    Raises:
        BadTransfer: what was offered is no element of the group.
    """
    prime, first = _prime(), _elements(offered, 1)[0]
    found = _powers_of(mpz(GENERATOR), _exponents(secret, context, b"reply", COLUMNS))
    choices = _choices(_delta(secret, context))
    return b"".join(_element(b * first % prime if c else b) for b, c in zip(found, choices, strict=True))


def grown(secret: bytes, context: bytes, replied: bytes) -> tuple[bytes, Forest]:
    """Chooser: return the third message and its trees, of the secret of its offer.

    The message has for every level of every tree the sum of all left and of all right nodes, each under the key of its
    base transfer: whoever chose left there can grow that level but for one place.

    Raises:
        BadTransfer: what was replied are not 128 elements of the group.
    """
    prime, elements = _prime(), _elements(replied, COLUMNS)
    exponent = _exponents(secret, context, b"offer", 1)[0]
    first = gmpy2.powmod(GENERATOR, exponent, prime)
    shift = gmpy2.invert(gmpy2.powmod(first, exponent, prime), prime)
    chosen = gmpy2.powmod_base_list(elements, exponent, prime)
    bound = _hashed(context, _element(first))
    roots = _stretched(secret, context, b"roots", TREES * SEED_BYTES)
    sums, seeds = [], []
    for tree in range(TREES):
        nodes = [roots[tree * SEED_BYTES : (tree + 1) * SEED_BYTES]]
        for level in range(DEPTH):
            place = tree * DEPTH + level
            nodes = [_child(node, side) for node in nodes for side in (0, 1)]
            keys = (_key(bound, place, elements[place], k) for k in (chosen[place], chosen[place] * shift % prime))
            sums += [_xored(key, _summed(nodes[side::2])) for side, key in enumerate(keys)]
        seeds += nodes
    return b"".join(sums), Forest(context=context, seeds=b"".join(seeds))


def pruned(secret: bytes, context: bytes, offered: bytes, sums: bytes) -> Pruned:
    """Sender: return its trees, of the secret of its reply and the chooser's two messages.

    Raises:
        BadTransfer: they are of another length, or no element of the group.
    """
    if len(sums) != 2 * COLUMNS * SEED_BYTES:
        raise BadTransfer("sums of another length")
    prime, first = _prime(), _elements(offered, 1)[0]
    exponents = _exponents(secret, context, b"reply", COLUMNS)
    delta, bound = _delta(secret, context), _hashed(context, offered)
    sent = _powers_of(mpz(GENERATOR), exponents)
    known = _powers_of(first, exponents)
    seeds = []
    for tree, missing in enumerate(_places(delta)):
        nodes: dict[int, bytes] = {}
        for level in range(DEPTH):
            place, hidden = tree * DEPTH + level, missing >> DEPTH - 1 - level
            side = ~hidden & 1  # the side that was chosen: not that of the path to the missing leaf
            element = sent[place] * first % prime if side else sent[place]
            at = (2 * place + side) * SEED_BYTES
            total = _xored(_key(bound, place, element, known[place]), sums[at : at + SEED_BYTES])
            nodes = {2 * at + branch: _child(node, branch) for at, node in nodes.items() for branch in (0, 1)}
            nodes[hidden ^ 1] = _summed([total, *(node for at, node in nodes.items() if at & 1 == side)])
        seeds += [nodes.get(leaf, bytes(SEED_BYTES)) for leaf in range(LEAVES)]
    return Pruned(context=context, delta=delta, seeds=b"".join(seeds))


def _places(delta: bytes) -> list[int]:
    """Return which leaf is missing in every tree; column DEPTH * tree + j is bit j of it."""
    number = int.from_bytes(delta, "little")
    return [number >> DEPTH * tree & LEAVES - 1 for tree in range(TREES)]


def _choices(delta: bytes) -> list[int]:
    """Return the bit of every base transfer: at every level the other side than the path to the missing leaf."""
    return [~(place >> DEPTH - 1 - level) & 1 for place in _places(delta) for level in range(DEPTH)]


def _delta(secret: bytes, context: bytes) -> bytes:
    return _stretched(secret, context, b"delta", COLUMNS // 8)


def _stretched(secret: bytes, context: bytes, use: bytes, size: int) -> bytes:
    if len(secret) != 32 or len(context) != 32:
        raise Misuse("a transfer needs 32 secret bytes and a context of 32")
    return agreement.derive(secret, _LABEL + context + use, size)


def _exponents(secret: bytes, context: bytes, use: bytes, count: int) -> list[mpz]:
    size = EXPONENT_BITS // 8
    drawn = _stretched(secret, context, use, size * count)
    return [mpz.from_bytes(drawn[at : at + size], "big") for at in range(0, len(drawn), size)]


def _hashed(*parts: bytes) -> bytes:
    """Return SHA-256 of the parts, each behind its length."""
    return hashlib.sha256(_LABEL + b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def _child(node: bytes, side: int) -> bytes:
    return hashlib.sha256(_LABEL + b"node" + bytes((side,)) + node).digest()


def _key(bound: bytes, place: int, element: mpz, agreed: mpz) -> bytes:
    return _hashed(b"base", bound, place.to_bytes(2, "big"), _element(element), _element(agreed))


def _summed(nodes: Iterable[bytes]) -> bytes:
    total = 0
    for node in nodes:
        total ^= int.from_bytes(node, "big")
    return total.to_bytes(SEED_BYTES, "big")


def _xored(a: bytes, b: bytes) -> bytes:
    return _summed((a, b))


@lru_cache(maxsize=1)
def _prime() -> mpz:
    """Return the prime of RFC 3526's group 15, by its formula; (prime - 1) / 2 is prime too, and 2 a square."""
    with gmpy2.context(gmpy2.get_context(), precision=GROUP_BITS):
        pi = mpz(gmpy2.floor(gmpy2.const_pi() * mpz(2) ** (GROUP_BITS - 130)))
    return mpz(2) ** GROUP_BITS - mpz(2) ** (GROUP_BITS - 64) - 1 + mpz(2) ** 64 * (pi + 1690314)


def _element(number: mpz) -> bytes:
    return int(number).to_bytes(GROUP_BYTES, "big")


def _elements(data: bytes, count: int) -> list[mpz]:
    """Return the group elements in `data`; all are squares, so all but 1 generate the whole subgroup."""
    if len(data) != count * GROUP_BYTES:
        raise BadTransfer("group elements of another length or number")
    prime = _prime()
    found = [mpz.from_bytes(data[at : at + GROUP_BYTES], "big") for at in range(0, len(data), GROUP_BYTES)]
    if any(not 1 < number < prime or gmpy2.jacobi(number, prime) != 1 for number in found):
        raise BadTransfer("a number that is no element of the group")
    return found


def _powers_of(base: mpz, exponents: Sequence[mpz]) -> list[mpz]:
    """Return base^exponent for many exponents: by a table of its powers a fifth of the time that each alone takes."""
    window, prime, table = 5, _prime(), []
    step = base
    for _ in range(0, EXPONENT_BITS, window):
        row = [mpz(1), step]
        for _ in range(2, 1 << window):
            row.append(row[-1] * step % prime)
        step = row[-1] * step % prime
        table.append(row)
    found = []
    for exponent in exponents:
        result, rest = mpz(1), int(exponent)
        for row in table:
            if digit := rest & (1 << window) - 1:
                result = result * row[digit] % prime
            rest >>= window
        found.append(result)
    return found


# --- any number of times ---------------------------------------------------------------------------------------------


def choose(forest: Forest, use: int, choices: Words, moduli: Words) -> tuple[bytes, Residues]:
    """Chooser: return the message for the sender, and its pads.

    Args:
        use: a number of [0, 2^32) that serves once under this forest: twice shows the sender how two choices differ.
        choices: words of 64 bits; transfer (i, w) is for bit i of word w.
        moduli: below 2^16, of every word, (1, words), or of every transfer, (64, words).

    Returns:
        `message_bytes(words)`, and the pads, (64, words).
    """
    words = _checked(use, choices, moduli)
    pads = np.empty((ROWS, words), dtype=np.uint16)
    parts: dict[int, bytes] = {}

    def work(run: range) -> None:
        desk = _Desk(forest.context, use, run, _streams(forest.seeds, range(TREES * LEAVES), use, run.start))
        said = []
        for piece in desk.pieces:
            desk.lay(piece)
            at = slice(piece.start, piece.stop)
            said.append((desk.sums ^ choices[at]).astype("<u8", copy=False).tobytes())
            _transpose(desk.columns)
            pads[:, at] = desk.pads(moduli[:, at])
        parts[run.start] = b"".join(said)

    _spread(words, work)
    return b"".join(parts[start] for start in sorted(parts)), pads


def answer(trees: Pruned, use: int, message: bytes, moduli: Words) -> tuple[Residues, Residues]:
    """Sender: return the pads for choice 0 and for choice 1, each (64, words), of the chooser's message.

    Raises:
        BadTransfer: the message is not as long as the number of words takes.
    """
    words = _checked(use, moduli[0], moduli)
    if len(message) != message_bytes(words):
        raise BadTransfer("a message of another length")
    zeros, ones = (np.empty((ROWS, words), dtype=np.uint16) for _ in range(2))
    delta = np.frombuffer(trees.delta, dtype="<u8")
    bits = np.unpackbits(np.frombuffer(trees.delta, dtype=np.uint8), bitorder="little")
    starts = zip(range(0, TREES * LEAVES, LEAVES), _places(trees.delta), strict=True)
    order = [start + (leaf ^ missing) for start, missing in starts for leaf in range(LEAVES)]

    def work(run: range) -> None:
        desk = _Desk(trees.context, use, run, _streams(trees.seeds, order, use, run.start))
        for piece in desk.pieces:
            desk.lay(piece)
            at, start = slice(piece.start, piece.stop), message_bytes(piece.start)
            said = np.frombuffer(message, dtype="<u8", count=TREES * len(piece), offset=start).reshape(TREES, -1)
            for column in np.flatnonzero(bits):
                desk.columns[column % 64, :, column // 64] ^= said[column // DEPTH]
            _transpose(desk.columns)
            zeros[:, at] = desk.pads(moduli[:, at])
            rows = desk.columns.reshape(ROWS, -1)
            rows ^= np.tile(delta, len(piece))
            ones[:, at] = desk.pads(moduli[:, at])

    _spread(words, work)
    return zeros, ones


def message_bytes(words: int) -> int:
    """Return how long the chooser's message for so many words of choices is."""
    return words * TREES * 8


def _checked(use: int, choices: Words, moduli: Words) -> int:
    if not 0 <= use < 1 << 32 or choices.ndim != 1 or moduli.shape not in {(1, len(choices)), (ROWS, len(choices))}:
        raise Misuse("a use below 2^32, and moduli of every word or of every transfer are needed")
    if moduli.size and not 0 < moduli.min() <= moduli.max() < 1 << MODULUS_BITS:
        raise Misuse(f"moduli of at most {MODULUS_BITS} bits are needed")
    return len(choices)


def _spread(words: int, work: Callable[[range], None]) -> None:
    """Do the words in one run, or in two where threads were lent and there is enough for both."""
    half = words // 2 // MOST_WORDS * MOST_WORDS
    spread = blinding.lent() if half else None
    ends = [0, half, words] if spread else [0, words]
    blinding.carry_out(spread or map, work, [range(start, end) for start, end in pairwise(ends)])


def _streams(seeds: bytes, order: Sequence[int], use: int, word: int) -> list[CipherContext]:
    """Return one AES-256-CTR stream a leaf, from an even word on; the first half of the counter block is `use`."""
    block = use.to_bytes(8, "big") + (8 * word // BLOCK_BYTES).to_bytes(8, "big")
    keys = (seeds[place * SEED_BYTES : (place + 1) * SEED_BYTES] for place in order)
    return [Cipher(AES(key), CTR(block)).encryptor() for key in keys]


class _Desk:
    """Where one run of words is worked on, MOST_WORDS at a time, in memory that is taken once.

    Attributes:
        columns: (64, words, 2) of 64 bits. Laid: column c, which is the sum of the streams of those leaves of tree
            c / DEPTH whose number has bit c % DEPTH, in row c % 64, half c / 64. Transposed: transfer (i, w) at [i, w].
        sums: (TREES, words): the sum of all streams of a tree.
    """

    def __init__(self, context: bytes, use: int, run: range, streams: Sequence[CipherContext]) -> None:
        self.pieces = [range(at, min(at + MOST_WORDS, run.stop)) for at in range(run.start, run.stop, MOST_WORDS)]
        self._use, self._streams = use, streams
        key = _hashed(b"pi", context)[:16]
        self._permute = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - the bare permutation, no message
        self._take(min(MOST_WORDS, len(run)))

    def _take(self, words: int) -> None:
        self.columns = np.empty((ROWS, words, 2), dtype=np.uint64)
        self.sums = np.empty((TREES, words), dtype=np.uint64)
        self._zeros = memoryview(bytes(8 * words))
        self._streamed = memoryview(room(TOGETHER * LEAVES * 8 * words))
        self._once, self._twice = room(self.columns.nbytes), room(self.columns.nbytes)
        self._tweaks, self._scratch = (np.empty(2 * ROWS * words, dtype=np.uint64) for _ in range(2))

    def lay(self, piece: range) -> None:
        """Lay the columns of the next piece."""
        words, size = len(piece), 8 * len(piece)
        if self.sums.shape[1] != words:  # the last piece
            self._take(words)
        self._tweaks[0::2] = np.arange(piece.start * ROWS, piece.stop * ROWS, dtype=np.uint64)
        self._tweaks[1::2] = self._use
        for tree in range(0, TREES, TOGETHER):
            for place, stream in enumerate(self._streams[tree * LEAVES : (tree + TOGETHER) * LEAVES]):
                stream.update_into(self._zeros, self._streamed[place * size : (place + 1) * size + BLOCK_BYTES - 1])
            leaves = _words(self._streamed, TOGETHER * LEAVES * words).reshape(TOGETHER, LEAVES, words)
            for bit in range(DEPTH):
                odd = leaves[:, 1::2]
                for place, column in enumerate(np.bitwise_xor.reduce(odd, axis=1), tree):
                    half, row = divmod(DEPTH * place + bit, 64)
                    self.columns[row, :, half] = column
                leaves = leaves[:, 0::2] ^ odd
            self.sums[tree : tree + TOGETHER] = leaves[:, 0]

    def pads(self, moduli: Words) -> Residues:
        """Return (64, words) numbers below their moduli, (1 or 64, words), of the columns as they are, transposed.

        The hash of block x is pi(pi(x) ^ i) ^ pi(x), i being (number of the transfer, use); of 96 of its bits h it is
        floor(h m / 2^96), uniform to 2^-80.
        """
        self._permute.update_into(self.columns.reshape(-1).view(np.uint8).data, self._once)
        inner, outer = (_words(memory, self.columns.size) for memory in (self._once, self._twice))
        tweaked = np.bitwise_xor(inner, self._tweaks, out=self._scratch)
        self._permute.update_into(tweaked.view(np.uint8).data, self._twice)
        outer ^= inner
        hashes = outer.reshape(ROWS, -1, 2)
        low = hashes[..., 0] >> np.uint64(16)
        low *= moduli
        low >>= np.uint64(48)
        high = hashes[..., 1] >> np.uint64(16)
        high *= moduli
        high += low
        high >>= np.uint64(48)
        return high.astype(np.uint16)


def _words(memory: bytearray | memoryview, count: int) -> Words:
    """Return the first words of what a cipher wrote into."""
    return np.frombuffer(memory, dtype="<u8", count=count)


def _transpose(columns: Words) -> None:
    """Turn the 64 x 64 bits of every word column in place: then word w of row i has the 128 bits of transfer (i, w)."""
    for distance, mask in _SWAPS:
        halves = columns.reshape(32 // distance, 2, distance, -1)
        low, high = halves[:, 0], halves[:, 1]
        moved = low >> np.uint64(distance)
        moved ^= high
        moved &= np.uint64(mask)
        high ^= moved
        moved <<= np.uint64(distance)
        low ^= moved
