"""What a project has opened of one party's rows, as linear algebra: no difference and no combination singles out a few.

Every opened cell is a set of rows. Whoever reads the sums over such sets may add and subtract them, so what counts is
not a single set but everything that combinations of them can reach. For every further set it is checked that

1. *pairs*: it does not differ from an opened set by rows of fewer than k units;
2. *differences*: it does not differ from the nearest sum and difference of opened sets by rows of fewer than k units
   (a total minus its cells, an overlap by inclusion and exclusion);
3. *any combination*: no unit's leverage exceeds 1/3.

The leverage of a row i is the largest v_i^2 / |v|^2 of all vectors v that combinations of the opened sets can reach. So
with leverages of at most 1/3, |v|^2 >= 3 v_i^2 for every i: whatever anybody computes of what is open, by least
squares or otherwise, contains at least three units, and none is ever determined. Leverages add up to the number of
independent sets, which therefore stays below a third of the units: the rule of saturated models, for a project.

Rows that no opened set tells apart are one atom, and one column here. Sets are bits, held twice: sixteen of them in a
word of every atom, to combine sets, and the atoms of a set in a line, to count what two share. A thousand sets over
100,000 atoms are 25 MB. Coefficients are in binary64; differences are compared as integers. Nothing here sees a value:
only which rows a sum was over.

Sources: Dobkin, Jones and Lipton, Secure databases: protection against user influence (ACM TODS 4(1), 1979); Chin and
Ozsoyoglu, Auditing and inference control in statistical databases (IEEE TSE 8(6), 1982); leverage as in Belsley, Kuh
and Welsch, Regression Diagnostics (1980), section 2.1; rounding to the nearest combination after Babai (1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Labels: TypeAlias = npt.NDArray[np.int64]
Reals: TypeAlias = npt.NDArray[np.float64]
Words: TypeAlias = npt.NDArray[np.uint16]
Lines: TypeAlias = npt.NDArray[np.uint64]

MOST_LEVERAGE: Final = 1 / 3
_ROUNDING: Final = 1e-6
_NEAREST: Final = 0.5  # squared distance from all that is open; what is nearer without being in it is not judged
_WIDE: Final = 16_384  # atoms from which one table of 65,536 places costs less than two of 256
_DENSE: Final = 4_000_000  # places of a table that costs less than sorting
_BITS: Final = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.float64)  # (byte, which of its sets)


class Finding(Enum):
    """What further sets would do."""

    NOTHING = "nothing"  # they may open
    FEW = "few"  # a difference has fewer than k units
    ALIKE = "alike"  # another condition selects the very units of an open set: said like FEW
    LEVERAGE = "leverage"  # one unit would weigh too much in some combination


@dataclass(frozen=True, slots=True)
class Name:
    """What decides who is in a set.

    Attributes:
        where: digest of the condition on rows.
        cell: digest of that condition and of what the cell adds to it; equal ones mean equal sets.
    """

    where: bytes
    cell: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """Disjoint sets of rows that open together: the cells of one query.

    Attributes:
        labels: per row of the universe, the set that it is in, -1 for none.
        names: one per set.
    """

    labels: Labels
    names: tuple[Name, ...]


class Openings:
    """All sets of rows that one project has opened of one party's data; for one thread.

    Args:
        units: per row, the number of its unit, from 0; rows of one unit need not stand together.
    """

    def __init__(self, units: Labels) -> None:
        self._units = units
        self._atom = np.zeros(len(units), dtype=np.int64)
        self._atoms = 1
        self._sizes = np.array([float(len(units))])
        self._words: Words = np.zeros((0, 64), dtype=np.uint16)  # with room for further atoms and sets
        self._lines: Lines = np.zeros((0, 1), dtype=np.uint64)  # the same bits, a line per set
        self._leverage = np.zeros(1)
        self._norms: list[float] = []  # rows, per set
        self._names: list[set[Name]] = []
        self._basis: list[int] = []  # which sets are independent
        self._before: tuple[int, int, Reals, list[tuple[int, Name]]] = (0, 0, self._leverage.copy(), [])
        self._inverse = np.zeros((0, 0))  # of the Cholesky factor of the basis' inner products
        self._counted()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._units)

    @property
    def rank(self) -> int:
        """How many of the opened sets are independent."""
        return len(self._basis)

    @property
    def leverage(self) -> float:
        """The largest leverage of a unit; of a unit with several rows, the sum of theirs, which bounds it."""
        if self._plain:
            return float(self._leverage.max(initial=0.0))
        return float(np.bincount(self._units, weights=self._leverage[self._atom]).max(initial=0.0))

    def grow(self, units: Labels) -> None:
        """Add rows that no open set holds; `units` goes on with the numbers of the others."""
        if len(units):
            self._atom = np.concatenate([self._atom, np.full(len(units), self._atoms, dtype=np.int64)])
            self._sizes = np.append(self._sizes, float(len(units)))
            self._leverage = np.append(self._leverage, 0.0)
            self._room(len(self._norms), self._atoms + 1)
            self._atoms += 1
            self._units = np.concatenate([self._units, units])
            self._counted()

    def opened(self, further: Sequence[Sets], k: int, *, alike: bool = True) -> Finding:
        """Open further sets if they may, all of them or none; return why they may not.

        Args:
            further: queries' cells; sets without rows are nothing.
            k: least units in a difference.
            alike: whether a set that is open under another condition is found.
        """
        for sets in further:
            self._split(sets.labels)
        named: list[tuple[int, Name]] = []
        self._before = (len(self._norms), len(self._basis), self._leverage.copy(), named)
        found = Finding.NOTHING
        for sets in further:
            if found is Finding.NOTHING:
                found = self._open(sets, k, named, alike=alike)
        if found is Finding.NOTHING and self.leverage > MOST_LEVERAGE + _ROUNDING:
            found = Finding.LEVERAGE
        if found is not Finding.NOTHING:
            self.undo()
        return found

    def undo(self) -> None:
        """Close what the last call of `opened` opened; no rows may have been added since."""
        count, rank, leverage, named = self._before
        for place, name in named:
            self._names[place].discard(name)
        del self._norms[count:], self._names[count:], self._basis[rank:]
        self._leverage = leverage
        self._lines[count:] = 0
        self._words[(count + 15) // 16 :] = 0
        if count % 16:
            self._words[count // 16] &= np.uint16((1 << count % 16) - 1)
        self._before = (count, rank, leverage.copy(), [])

    # --- one set ----------------------------------------------------------------------------------------------------

    def _open(self, sets: Sets, k: int, named: list[tuple[int, Name]], *, alike: bool) -> Finding:
        label = np.full(self._atoms, -1, dtype=np.int64)
        label[self._atom] = sets.labels
        inside = np.flatnonzero(label >= 0)
        order = inside[np.argsort(label[inside], kind="stable")] if len(sets.names) > 1 else inside
        places = np.searchsorted(label[order], np.arange(len(sets.names) + 1))
        for index, name in enumerate(sets.names):
            members = order[places[index] : places[index + 1]]
            if len(members):
                found = self._add(members, name, k, named, alike=alike)
                if found is not Finding.NOTHING:
                    return found
        return Finding.NOTHING

    def _add(self, members: Labels, name: Name, k: int, named: list[tuple[int, Name]], *, alike: bool) -> Finding:
        norm = float(self._sizes[members].sum())
        few = self._most_rows(k)
        shared = self._shared(members)
        for place in np.flatnonzero(norm + np.array(self._norms) - 2 * shared <= few + _ROUNDING):
            units = self._units_in(self._between(members, {int(place): 1.0}))
            if not units:
                return self._again(int(place), name, named, alike=alike)
            if units < k:
                return Finding.FEW
        rank = len(self._basis)
        inverse = self._inverse[:rank, :rank]
        half = np.einsum("ij,j->i", inverse, shared[self._basis])  # not BLAS: its threads wait for busy processors
        coefficients = np.einsum("i,ij->j", half, inverse)
        left = self._between(members, dict(zip(self._basis, coefficients.tolist(), strict=True)))
        distance = float(np.einsum("i,i,i->", self._sizes, left, left))
        if distance <= max(few, _NEAREST) + _ROUNDING * norm:
            whole = np.rint(coefficients)
            nearest = {place: c for place, c in zip(self._basis, whole.tolist(), strict=True) if c}
            units = self._units_in(self._between(members, nearest))
            if not units:
                self._keep(members, norm, name, named)
                return Finding.NOTHING
            if units < k or distance < _NEAREST:
                return Finding.FEW
        self._leverage += left * left / distance
        self._extend(coefficients, distance)
        self._basis.append(len(self._norms))
        self._keep(members, norm, name, named)
        return Finding.NOTHING

    def _again(self, place: int, name: Name, named: list[tuple[int, Name]], *, alike: bool) -> Finding:
        known = self._names[place]
        if alike and not any(name.cell == one.cell or name.where == one.where for one in known):
            return Finding.ALIKE
        if name not in known:
            known.add(name)
            named.append((place, name))
        return Finding.NOTHING

    def _keep(self, members: Labels, norm: float, name: Name, named: list[tuple[int, Name]]) -> None:
        place = len(self._norms)
        self._room(place + 1, self._atoms)
        self._words[place // 16, members] |= np.uint16(1 << place % 16)
        self._lines[place] = self._line(members)
        self._norms.append(norm)
        self._names.append({name})
        named.append((place, name))

    def _extend(self, coefficients: Reals, distance: float) -> None:
        """Append a row to the inverse of the factor: what the new set has beside all others, at length one."""
        rank = len(coefficients)
        if rank == len(self._inverse):
            grown = np.zeros((2 * rank + 16, 2 * rank + 16))
            grown[:rank, :rank] = self._inverse
            self._inverse = grown
        root = distance**0.5
        self._inverse[rank, :rank] = -coefficients / root
        self._inverse[rank, rank] = 1 / root

    # --- atoms ------------------------------------------------------------------------------------------------------

    def _split(self, labels: Labels) -> None:
        """Tell apart the rows of an atom that differ in their labels; the part with the least label stays."""
        width = int(labels.max(initial=-1)) + 2
        keys = self._atom * width + (labels + 1)
        if self._atoms * width <= max(_DENSE, 8 * len(keys)):
            seen = np.zeros(self._atoms * width, dtype=np.bool_)
            seen[keys] = True
            present = np.flatnonzero(seen)
            places = np.zeros(self._atoms * width, dtype=np.int64)
            places[present] = np.arange(len(present))
            place = places[keys]
        else:
            present, place = np.unique(keys, return_inverse=True)
        parent = present // width
        fresh = np.zeros(len(parent), dtype=np.bool_)
        fresh[1:] = parent[1:] == parent[:-1]
        if not fresh.any():
            return
        atoms = self._atoms + int(fresh.sum())
        number = np.where(fresh, self._atoms - 1 + np.cumsum(fresh), parent)
        self._room(len(self._norms), atoms)
        self._inherit(parent[fresh], atoms)
        self._leverage = np.concatenate([self._leverage, self._leverage[parent[fresh]]])
        self._atom = number[place]
        self._atoms = atoms
        self._sizes = np.bincount(self._atom, minlength=atoms).astype(np.float64)

    def _room(self, sets: int, atoms: int) -> None:
        """Have room for so many, and the bits of further atoms zero."""
        groups, width = self._words.shape
        if (sets + 15) // 16 > groups or atoms > width:
            wider = width if atoms <= width else (atoms + atoms // 4 + 64) // 64 * 64
            higher = groups if (sets + 15) // 16 <= groups else 2 * groups + 1
            words = np.zeros((higher, wider), dtype=np.uint16)
            words[:groups, :width] = self._words
            lines = np.zeros((16 * higher, wider // 64), dtype=np.uint64)
            lines[: 16 * groups, : width // 64] = self._lines
            self._words, self._lines = words, lines

    def _inherit(self, parents: Labels, atoms: int) -> None:
        """Give the atoms from the number of today on to `atoms` the bits of their parents."""
        first, sets = self._atoms, len(self._norms)
        self._words[:, first:atoms] = self._words[:, parents]
        start = first // 64 * 64
        for group in range((sets + 15) // 16):
            words = self._words[group, start:atoms]
            bits = np.zeros((16, (atoms - start + 63) // 64 * 64), dtype=np.uint8)
            bits[:, : atoms - start] = (words >> np.arange(16, dtype=np.uint16)[:, None]) & 1
            packed = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
            self._lines[16 * group : 16 * group + 16, start // 64 : start // 64 + packed.shape[1]] = packed

    def _line(self, members: Labels) -> Lines:
        """Return a set's bits over all atoms there is room for."""
        bits = np.zeros(self._words.shape[1], dtype=np.uint8)
        bits[members] = 1
        return np.packbits(bits, bitorder="little").view(np.uint64)

    def _shared(self, members: Labels) -> Reals:
        """Return how many rows the set shares with every open one."""
        sets, used = len(self._norms), (self._atoms + 63) // 64
        both = self._lines[:sets, :used] & self._line(members)[:used]
        found: Reals = np.bitwise_count(both).sum(axis=1, dtype=np.float64)
        large = members[self._sizes[members] > 1]
        if len(large):
            further = self._sizes[large] - 1
            for group in range((sets + 15) // 16):
                mine = self._words[group, large]
                halves = [np.bincount(half, further, 256) @ _BITS for half in (mine & 255, mine >> 8)]
                found[16 * group : 16 * group + 16] += np.concatenate(halves)[: sets - 16 * group]
        return found

    def _between(self, members: Labels, coefficients: dict[int, float]) -> Reals:
        """Return, per atom, the set minus a combination of open ones."""
        groups: dict[int, Reals] = {}
        for place, coefficient in coefficients.items():
            groups.setdefault(place // 16, np.zeros(16))[place % 16] = coefficient
        found, part = np.zeros(self._atoms), np.empty(self._atoms)
        for group, values in groups.items():
            words = self._words[group, : self._atoms]
            low, high = _BITS @ values[:8], _BITS @ values[8:]
            if self._atoms >= _WIDE:
                np.take((high[:, None] + low).ravel(), words, out=part, mode="clip")
                found -= part
            else:
                found -= low[words & 255] + high[words >> 8]
        found[members] += 1
        return found

    # --- units ------------------------------------------------------------------------------------------------------

    def _counted(self) -> None:
        counts = np.bincount(self._units) if len(self._units) else np.zeros(0, dtype=np.int64)
        self._plain = bool((counts <= 1).all())
        self._largest = np.cumsum(np.sort(counts)[::-1])

    def _most_rows(self, k: int) -> float:
        """Return the most rows that fewer than k units have."""
        if k < 2 or not len(self._largest):
            return 0.0
        return float(self._largest[min(k - 1, len(self._largest)) - 1])

    def _units_in(self, left: Reals) -> int:
        """Return how many units have a row where `left`, which is whole but for rounding, is not zero."""
        atoms = np.abs(left) > 0.25
        if self._plain:
            return int(self._sizes[atoms].sum())
        return len(np.unique(self._units[atoms[self._atom]]))
