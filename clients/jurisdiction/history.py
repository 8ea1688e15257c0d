"""What every project has opened of this jurisdiction's rows: written before a number leaves, kept for ever.

Of each set of rows there is its name and which rows are in it, no value. A row is known by its content, so that
versions of the data are compared with each other: an unchanged row is the same, a changed one is another. Sets are
written once; a question over sets that are open costs nothing. After a restart a project's history is read again:
`read_again` does that for all of them, else the first question of each.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clients.jurisdiction import opened_sets
from clients.jurisdiction.engine import Engine, Identities
from clients.jurisdiction.opened_sets import Opening, Places
from clients.jurisdiction.vault import Vault
from federation.domain.catalogue import Dataset
from federation.domain.job import digest
from federation.privacy.differencing import Finding, Name, Openings, Sets
from federation.privacy.suppression import LEAST_CONTRIBUTORS
from federation.query.query import SumQuery

Keys = npt.NDArray[np.uint64]

_MIXED = np.uint64(0x9E3779B97F4A7C15)
_ROWS, _SETS, _MEASURED, _LOST, _KNOWN, _ASKED = "rows", "sets", "measured", "lost", "known", "asked"
_LIST = b"federation/history/projects"  # which there are, by project and data set
_BY_ALL = ""  # the audit of who is counted; the others are named by a column that is summed over fewer rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the guard saw of own rows for one round.

    Attributes:
        fewest: per query, as `opened_sets.fewest`.
        finding: what the round would add to what is open.
    """

    fewest: tuple[int | None, ...]
    finding: Finding


@dataclass(slots=True, eq=False)
class _Frame:
    """One project and one data set.

    Attributes:
        stream: its place in the vault.
        keys: per row that was ever there, its content.
        units: their unit's key.
        audits: by name, what is open, as far as it was read.
        known: digests of sets that are open, of columns that were summed over them, and of what was lost on the way,
            each with the data's version.
        partial: columns that were summed over fewer rows than were counted.
        here: version of the data, where its rows are among `keys`.
        numbers: unit's key -> its number.
        asked: selection of rows in a version -> the sets of parties that were asked for it.
    """

    stream: bytes
    keys: Keys = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    units: Keys = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    audits: dict[str, Openings] = field(default_factory=dict)
    known: set[bytes] = field(default_factory=set)
    partial: set[str] = field(default_factory=set)
    here: tuple[str, Places] | None = None
    numbers: dict[int, int] = field(default_factory=dict)
    asked: dict[bytes, set[frozenset[str]]] = field(default_factory=dict)


class History:
    """What a jurisdiction's vault remembers of opened sets.

    Args:
        vault: keeps it; one transaction with the vector that opens them.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._frames: dict[bytes, _Frame] = {}
        self._identities: dict[tuple[str, str], Identities] = {}

    def read_again(self) -> None:
        """Read what was kept before this process began, so that no question waits for it: 3 ms a set, or 15."""
        for project, dataset in self._listed():
            self._frame(project, dataset)

    def seen(
        self,
        project: str,
        engine: Engine,
        own: Dataset,
        joint: Dataset,
        asked: Sequence[Opening],
        *,
        keep: bool,
        nested: bool = False,
    ) -> Seen:
        """Look at what a round would open, and remember it if it may.

        Args:
            project: the job's, "" for jobs without one, which are a project together.
            engine: over the rows of `own`.
            asked: one per query of the round.
            keep: whether to compare and remember; without it only conditions are counted.
            nested: whether an earlier round of the same job led to this one: finer bins of it are one opening with the
                coarser ones, so counts in bins that do not fit beside what is open are not remembered, and open.
        """
        frame = self._frame(project, own.name)
        shown = [one for one in asked if any(one.open)]
        fresh = [one for one in shown if self._needed(frame, own, one)]
        if not keep:
            fresh = [one for one in fresh if one.conditions]
        rows = self._rows(frame, engine, own) if fresh else np.zeros(0, dtype=np.int64)
        wanted = {id(one): one.asked() for one in fresh}
        placed = engine.places([query for queries in wanted.values() for query in queries], joint) if fresh else ()
        taken = iter(placed)
        places = {key: [next(taken) for _ in queries] for key, queries in wanted.items()}
        fewest = {id(one): self._fewest(frame, rows, one, places[id(one)]) for one in fresh}
        finding = Finding.NOTHING
        if keep and all(count is None or count >= own.k for count in fewest.values()):
            finer = [one for one in fresh if nested and one.counts_only]
            others = [one for one in fresh if one not in finer]
            finding = self._opened(frame, rows, [(one, places[id(one)]) for one in others], joint, own)
            if finding is Finding.NOTHING:
                for one in finer:
                    self._opened(frame, rows, [(one, places[id(one)])], joint, own)
                self._measured(frame, own, others)
                self._measured(frame, own, [one for one in shown if one not in fresh])
        return Seen(fewest=tuple(fewest.get(id(one)) for one in asked), finding=finding)

    def together(self, project: str, own: Dataset, asked: Sequence[SumQuery], parties: Sequence[str]) -> bool:
        """Remember over which parties the rows of these queries are asked; False, and nothing, if that tells a few.

        Sums over the same rows of all parties but one, whatever is summed, are that one's own figures by subtraction.
        So sets of parties that were asked for the same rows are equal, or differ by three at least.
        """
        frame, mine = self._frame(project, own.name), frozenset(parties)
        selected = {_known(own.version, opened_sets.selection(query)) for query in asked}
        before = [one for name in selected for one in frame.asked.get(name, ())]
        if any(0 < len(mine ^ one) < LEAST_CONTRIBUTORS for one in before):
            return False
        for name in sorted(selected):
            if mine not in frame.asked.get(name, ()):
                frame.asked.setdefault(name, set()).add(mine)
                self._vault.append_many(frame.stream, [(_ASKED, json.dumps([name.hex(), *sorted(mine)]).encode())])
        return True

    def _needed(self, frame: _Frame, own: Dataset, one: Opening) -> bool:
        """Return whether rows have to be looked at: sets that are new, or new to a column's own audit."""
        if not one.excludes and _known(own.version, one.key) not in frame.known:
            return True
        if one.loses:
            return _known(own.version, one.lost_key) not in frame.known
        return any(
            column in frame.partial and _known(own.version, one.key, column) not in frame.known
            for column in one.measured
        )

    def _fewest(self, frame: _Frame, rows: Places, of: Opening, places: Sequence[Places]) -> int | None:
        units = None if of.query.per is None else _numbered(frame, frame.units[rows])
        return opened_sets.fewest(of, places[0], places[len(places) - len(of.conditions) :], units)

    def _opened(
        self,
        frame: _Frame,
        rows: Places,
        fresh: Sequence[tuple[Opening, Sequence[Places]]],
        joint: Dataset,
        own: Dataset,
    ) -> Finding:
        """Open the sets of a round in every audit that they belong to, or in none."""
        by_audit: dict[str, list[Sets]] = {_BY_ALL: []}
        events: list[tuple[str, bytes]] = []
        known: list[bytes] = []
        for one, found in fresh:
            measured = counted = self._sets(one, found[0], found, rows, frame, joint)
            if one.loses:
                measured = self._sets(one, found[1], found, rows, frame, joint)
                known.append(_known(own.version, one.lost_key))
                events += [(_LOST, _packed((*one.measured, *([_BY_ALL] * one.excludes)), sets)) for sets in measured]
            if one.excludes:  # who is left out for a value is left out of what is counted, too
                by_audit[_BY_ALL] += measured
            else:
                by_audit[_BY_ALL] += counted
                known.append(_known(own.version, one.key))
                events += [(_SETS, _packed((one.key.hex(), own.version), sets)) for sets in counted]
            for column in one.measured:
                if one.loses or column in frame.partial:
                    by_audit.setdefault(column, []).extend(measured)
        opened: list[Openings] = []
        for name, every in by_audit.items():
            audit = self._audit(frame, name)
            finding = audit.opened(every, own.k, alike=name == _BY_ALL)
            if finding is not Finding.NOTHING:
                for other in opened:
                    other.undo()
                return finding
            opened.append(audit)
        frame.known.update(known)
        frame.partial.update(name for name in by_audit if name)
        if events:
            self._vault.append_many(frame.stream, [*events, (_KNOWN, b"".join(known))])
        return Finding.NOTHING

    def _sets(
        self, of: Opening, cells: Places, found: Sequence[Places], rows: Places, frame: _Frame, joint: Dataset
    ) -> list[Sets]:
        halves = found[len(found) - len(of.conditions) :]
        every = [opened_sets.cell_sets(of, cells, joint), *opened_sets.condition_sets(of, cells, halves, joint)]
        return [_spread(sets, rows, len(frame.keys)) for sets in every]

    def _measured(self, frame: _Frame, own: Dataset, shown: Sequence[Opening]) -> None:
        """Remember which columns were summed over which sets."""
        events = []
        for one in shown:
            fresh = [column for column in one.measured if _known(own.version, one.key, column) not in frame.known]
            if fresh and not one.loses:
                frame.known.update(_known(own.version, one.key, column) for column in fresh)
                events.append((_MEASURED, json.dumps([one.key.hex(), own.version, *fresh]).encode()))
        if events:
            self._vault.append_many(frame.stream, events)

    # --- rows -------------------------------------------------------------------------------------------------------

    def _rows(self, frame: _Frame, engine: Engine, own: Dataset) -> Places:
        """Return where the rows of today's data are among all that the frame knows; new ones are added."""
        if frame.here is not None and frame.here[0] == own.version:
            return frame.here[1]
        named = self._identities.get((own.name, own.version))
        if named is None:
            named = self._identities[own.name, own.version] = engine.identities()
        keys = _apart(named.rows)
        order = np.argsort(frame.keys)
        place = np.searchsorted(frame.keys[order], keys)
        found = np.zeros(len(keys), dtype=np.int64)
        inside = place < len(order)
        found[inside] = order[place[inside]]
        old = inside.copy()
        old[inside] = frame.keys[found[inside]] == keys[inside]
        found[~old] = len(frame.keys) + np.arange(int((~old).sum()))
        units = keys if named.units is None else named.units
        self._grow(frame, keys[~old], units[~old])
        if not old.all():
            self._vault.append_many(frame.stream, [(_ROWS, _rows_packed(keys[~old], units[~old]))])
        frame.here = (own.version, found)
        return found

    def _grow(self, frame: _Frame, keys: Keys, units: Keys) -> None:
        frame.keys = np.concatenate([frame.keys, keys])
        frame.units = np.concatenate([frame.units, units])
        numbers = _numbered(frame, units)
        for audit in frame.audits.values():
            audit.grow(numbers)

    def _audit(self, frame: _Frame, name: str) -> Openings:
        """Return an audit; that of a column is read from the vault when the column is first summed over fewer rows."""
        if name not in frame.audits:
            audit = frame.audits[name] = Openings(_numbered(frame, frame.units))
            counted: dict[str, list[Sets]] = {}
            for kind, payload in self._vault.read(frame.stream) if name else ():
                if kind == _SETS:
                    (key, version), sets = _unpacked(payload, len(frame.keys))
                    counted.setdefault(key + version, []).append(sets)
                elif kind == _MEASURED:
                    key, version, *columns = json.loads(payload)
                    if name in columns:
                        audit.opened(counted.get(key + version, ()), 0, alike=False)
                elif kind == _LOST:
                    columns_, sets = _unpacked(payload, len(frame.keys))
                    if name in columns_:
                        audit.opened([sets], 0, alike=False)
        return frame.audits[name]

    # --- the vault --------------------------------------------------------------------------------------------------

    def _frame(self, project: str, dataset: str) -> _Frame:
        stream = digest("federation/history/v1", project.encode(), dataset.encode())
        frame = self._frames.get(stream)
        if frame is None:
            listed = self._listed()
            if (project, dataset) not in listed:
                self._vault.put(_LIST, json.dumps([*listed, (project, dataset)]).encode())
            frame = self._frames[stream] = _Frame(stream)
            self._audit(frame, _BY_ALL)
            for kind, payload in self._vault.read(stream):
                self._take(frame, kind, payload)
        return frame

    def _listed(self) -> list[tuple[str, str]]:
        return [(project, dataset) for project, dataset in json.loads(self._vault.get(_LIST) or b"[]")]

    def _take(self, frame: _Frame, kind: str, payload: bytes) -> None:
        match kind:
            case "rows":
                words = np.frombuffer(zlib.decompress(payload), dtype="<u8").astype(np.uint64)
                self._grow(frame, words[: len(words) // 2], words[len(words) // 2 :])
            case "sets":
                _, sets = _unpacked(payload, len(frame.keys))
                frame.audits[_BY_ALL].opened([sets], 0, alike=False)
            case "lost":
                columns, sets = _unpacked(payload, len(frame.keys))
                frame.partial.update(name for name in columns if name)
                if _BY_ALL in columns:
                    frame.audits[_BY_ALL].opened([sets], 0, alike=False)
            case "asked":
                name, *parties = json.loads(payload)
                frame.asked.setdefault(bytes.fromhex(name), set()).add(frozenset(parties))
            case "measured":
                key, version, *names = json.loads(payload)
                frame.known.update(_known(version, bytes.fromhex(key), name) for name in names)
            case "known":
                frame.known.update(payload[at : at + 32] for at in range(0, len(payload), 32))


def _known(version: str, *parts: bytes | str) -> bytes:
    texts = [part.encode() if isinstance(part, str) else part for part in parts]
    return digest("federation/known/v1", version.encode(), *texts)


def _apart(keys: Keys) -> Keys:
    """Return a key for every row: equal rows are told apart by their number, which is all that they differ in."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    first = np.searchsorted(ranked, ranked)
    apart = np.empty_like(keys)
    apart[order] = ranked + (np.arange(len(keys)) - first).astype(np.uint64) * _MIXED
    return apart


def _numbered(frame: _Frame, units: Keys) -> Places:
    """Return the numbers of units, which are counted up as they come."""
    distinct, place = np.unique(units, return_inverse=True)
    numbers = [frame.numbers.setdefault(key, len(frame.numbers)) for key in distinct.tolist()]
    return np.array(numbers, dtype=np.int64)[place]


def _spread(sets: Sets, rows: Places, size: int) -> Sets:
    labels = np.full(size, -1, dtype=np.int64)
    labels[rows] = sets.labels
    return Sets(labels, sets.names)


def _rows_packed(keys: Keys, units: Keys) -> bytes:
    return zlib.compress(np.concatenate([keys, units]).astype("<u8").tobytes(), 1)


def _packed(heading: Sequence[str], sets: Sets) -> bytes:
    texts = json.dumps(list(heading)).encode()
    names = b"".join(one.where + one.cell for one in sets.names)
    labels = zlib.compress(sets.labels.astype("<i4").tobytes(), 1)
    return b"".join((len(texts).to_bytes(4, "big"), texts, len(sets.names).to_bytes(4, "big"), names, labels))


def _unpacked(payload: bytes, rows: int) -> tuple[list[str], Sets]:
    end = 4 + int.from_bytes(payload[:4], "big")
    count = int.from_bytes(payload[end : end + 4], "big")
    start = end + 4
    names = tuple(
        Name(payload[at : at + 32], payload[at + 32 : at + 64]) for at in range(start, start + 64 * count, 64)
    )
    read = np.frombuffer(zlib.decompress(payload[start + 64 * count :]), dtype="<i4")
    labels = np.full(rows, -1, dtype=np.int64)
    labels[: len(read)] = read
    return json.loads(payload[4:end]), Sets(labels, names)
