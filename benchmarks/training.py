"""Training rounds that train nothing: ours, plain and under masks, the limit of the wire, Flower and NVFlare, in turn.

What is left of a round is its own cost. Every system runs in processes of its own on loopback: ours as operators start
it, with mutual TLS, signatures, seals and stores (`peers/training_rounds.py`); L, the least that a round can cost over
grpcio with mutual TLS (`peers/wire_limit.py`); Flower's deployment mode without TLS, plain and SecAgg+; NVFlare's proof
of concept with mutual TLS. Ratios of ours to L and of masked to plain are taken within a turn, and their median counts.
Bars are what the project promises itself; nothing here fails because something is slow. A system that is not here or
does not end is said so and left out.

    python benchmarks/training.py                                               everything: most of an hour
    python benchmarks/training.py --dims 1e6 --parties 3 --turns 1              one size
    python benchmarks/training.py --dims 1e5,1e6 --parties 3 --ours-only        without the peers
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from masked_sum import PEERS_MISSING, PEERS_PYTHON, Table, machine, middle
from peers.quiet import Quiet

HERE = Path(__file__).parent / "peers"
ROUNDS = {100_000: 20, 1_000_000: 12, 10_000_000: 6, 50_000_000: 4}  # of ours and of L, unless told
LARGEST = 200_000_000  # parameters of all parties together that this benchmark puts on one machine
LONGEST_S = 900.0  # of one measurement
TIMES_LIMIT, TIMES_PLAIN, GOOD_TIMES_PLAIN = 1.5, 1.5, 1.3
PLAIN_S = {100_000: 0.030, 1_000_000: 0.060}  # of a round of three; above, L decides
MASKED_S = {1_000_000: 0.090}
UPLINK = 1.02  # times the plain bytes
LOST_S, LOST_DIM, LOST_PARTIES = 0.5, 10_000_000, 4  # of three, nobody can be missing
FIRST_S, FIRST_DIM = 8.0, 1_000_000  # with torch in the daemons
PEAK_TIMES, PEAK_MB, PEAK_DIM = 3, 120, 50_000_000
FEW = 3  # parties that the bars are about, where they do not say
LIMIT, PLAIN, MASKS = "L", "ours, plain", "ours, masks"
PEERS: dict[str, tuple[str, tuple[str, ...], int, int]] = {  # script, its options, rounds, most parameters tried
    "Flower": ("flower_rounds.py", ("--kind", "plain"), 4, 50_000_000),
    "Flower SecAgg+": ("flower_rounds.py", ("--kind", "secagg"), 3, 10_000_000),
    "NVFlare POC": ("nvflare_rounds.py", (), 5, 10_000_000),
}

Found = dict[str, Any]


class Unmeasured(Exception):
    """A program did not end well, or what it measures is not here."""


def ran(python: Path | str, script: str, *arguments: object) -> Found:
    """Run a program beside us and return the object on its last line.

    Raises:
        Unmeasured: it went wrong, took too long, or has nothing to measure; with its last word.
    """
    command = [str(python), str(HERE / script), *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unmeasured(f"{script} did not end within {LONGEST_S:.0f} s") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no word")
        raise Unmeasured(f"{script} ended with {done.returncode}: {last[:300]}")
    found: Found = json.loads(lines[-1])
    if "missing" in found:
        raise Unmeasured(found["missing"])
    return found


@dataclass
class Case:
    """All turns of one size.

    Attributes:
        found: system -> what it measured, turn by turn; None where it could not be measured.
        why: system -> why not.
    """

    dim: int
    parties: int
    found: dict[str, list[Found | None]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def take(self, system: str, work: Callable[[], Found]) -> None:
        """Measure a system once more, unless it failed before."""
        if system in self.why:
            return
        try:
            found: Found | None = work()
        except Unmeasured as fault:
            found, self.why[system] = None, str(fault)
            print(f"  {system}: not measured: {fault}", flush=True)
        self.found.setdefault(system, []).append(found)
        if found:
            print(f"  {system}: {found['median_s'] * 1000:,.1f} ms a round, load {os.getloadavg()[0]:.1f}", flush=True)

    def of(self, system: str, what: str) -> float | None:
        """Return the median over turns of a figure; None if nobody measured it."""
        known = [one[what] for one in self.found.get(system, []) if one and one.get(what) is not None]
        return middle(known) if known else None

    def ratio(self, system: str, to: str, what: str = "median_s") -> float | None:
        """Return the median over turns of the ratio of two systems in the same turn."""
        turns = zip(self.found.get(system, []), self.found.get(to, []), strict=False)
        known = [one[what] / other[what] for one, other in turns if one and other and one.get(what) and other.get(what)]
        return middle(known) if known else None

    def __str__(self) -> str:
        return f"{self.dim:,} parameters, {self.parties} parties"


def taken(case: Case, asked: argparse.Namespace, quiet: Quiet, peers: Sequence[str]) -> None:
    """Take all turns of one size: L, ours and, in the first turns, the peers."""
    size = ("--parties", case.parties, "--dim", case.dim)
    rounds = ("--rounds", asked.rounds or rounds_of(case.dim))
    print(case, flush=True)
    for turn in range(asked.turns):
        for system, script, more in (
            (LIMIT, "wire_limit.py", ()),
            (PLAIN, "training_rounds.py", ("--protection", "plain", "--bits", asked.bits)),
            (MASKS, "training_rounds.py", ("--protection", "masks", "--bits", asked.bits)),
        ):
            program = sys.executable, script, *size, *rounds, *more
            case.take(system, lambda program=program: quiet.calmest(lambda: ran(*program)))
        for system in peers if turn < asked.peer_turns else ():
            script, more, most_rounds, most_dim = PEERS[system]
            if case.dim > most_dim:
                case.why[system] = f"not tried above {most_dim:,} parameters"
                continue
            program = PEERS_PYTHON, script, *size, *more, "--rounds", asked.peer_rounds or most_rounds
            case.take(system, lambda program=program: ran(*program))


def rounds_of(dim: int) -> int:
    """Return how many rounds of ours count: fewer of long ones."""
    return next((rounds for most, rounds in ROUNDS.items() if dim <= most), min(ROUNDS.values()))


def lost(asked: argparse.Namespace, quiet: Quiet) -> Case:
    """Kill a daemon in a round of the largest size up to LOST_DIM that was asked for."""
    case = Case(max(dim for dim in asked.dims if dim <= LOST_DIM or dim == min(asked.dims)), LOST_PARTIES)
    rounds = asked.rounds or rounds_of(case.dim)
    size = ("--parties", case.parties, "--dim", case.dim, "--rounds", max(rounds, 8))
    print(f"{case}, one of them killed in a round", flush=True)
    for _ in range(asked.turns):
        case.take(MASKS, lambda: quiet.calmest(lambda: ran(sys.executable, "training_rounds.py", *size, "--lose")))
    return case


# --- what it comes to ------------------------------------------------------------------------------------------------


class Bars(Table):
    """Rows of bar, reached and verdict; what was not measured is a row too, without either."""

    def __init__(self) -> None:
        super().__init__()
        self.unmeasured: list[str] = []

    def at_most_if(self, what: str, bar: float, reached: float | None, unit: str, note: str = "") -> None:
        """Add a row, or say that its figure is not there."""
        if reached is None:
            self.unmeasured.append(f"{what} (bar <= {bar:g}{unit})")
        else:
            self.at_most(what, bar, reached, unit, note)


def judged(bars: Bars, case: Case) -> None:
    """Add the rows of one size."""
    few, plain, masks = case.parties == FEW, case.of(PLAIN, "median_s"), case.of(MASKS, "median_s")
    size = f"{case.dim / 1e6:g}M, n = {case.parties}"
    limit = case.of(LIMIT, "median_s")
    told = "" if limit is None else f"(L {limit * 1000:.1f} ms)"
    if case.dim in PLAIN_S and few:
        bars.at_most_if(f"plain round, {size}", PLAIN_S[case.dim] * 1000, thousand(plain), " ms", told)
    if case.dim not in PLAIN_S:
        note = "" if plain is None else f"({plain * 1000:.0f} ms; L {(limit or 0) * 1000:.0f} ms)"
        bars.at_most_if(f"plain round, {size}, times L", TIMES_LIMIT, case.ratio(PLAIN, LIMIT), "x", note)
    if case.dim in MASKED_S and few:
        bars.at_most_if(f"masked round, {size}", MASKED_S[case.dim] * 1000, thousand(masks), " ms", told)
    if case.dim not in PLAIN_S:
        times, note = case.ratio(MASKS, PLAIN), "" if masks is None else f"({masks * 1000:.0f} ms; go for 1.3x)"
        bars.at_most_if(f"masked round, {size}, times plain", TIMES_PLAIN, times, "x", note)
    up, sent = case.ratio(MASKS, PLAIN, "up"), case.of(MASKS, "up")
    if up is None and sent is not None:
        bars.at_most(f"bytes up, masked, {size}, times 4 a parameter", UPLINK, sent / (4 * case.dim), "x")
    else:
        bars.at_most_if(f"bytes up, masked, {size}, times plain", UPLINK, up, "x")
    if case.dim == FIRST_DIM and few:
        started = case.of(MASKS, "started_s") or 0.0
        note = f"(torch in the daemons; all attend after {started:.1f} s)"
        bars.at_most_if(f"nothing to the first masked round, {size}", FIRST_S, case.of(MASKS, "first_s"), " s", note)
    if case.dim == PEAK_DIM and few:
        most = PEAK_TIMES * 4 * case.dim / 1e6 + PEAK_MB
        for who in ("coordinator", "party"):
            for system in (PLAIN, MASKS):
                bars.at_most_if(f"peak of {who}, {system}, {size}", most, case.of(system, f"{who}_mb"), " MB")


def judged_lost(bars: Bars, case: Case) -> None:
    """Add the row of a daemon that was killed."""
    known = [one["lost"] for one in case.found.get(MASKS, []) if one]
    more = middle([one["more_s"] for one in known]) if known else None
    note = f"(deadline {known[0]['deadline_s']:g} s, a round {case.of(MASKS, 'median_s'):.2f} s)" if known else ""
    what = f"a client killed, {case.dim / 1e6:g}M, n = {case.parties}, beyond the deadline"
    bars.at_most_if(what, LOST_S, more, " s", note)


def thousand(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


HEADINGS = (
    ("", 16), ("ms a round", 12), ("x ours", 8), ("x L", 7), ("cpu ms", 9), ("first s", 9), ("up", 7),
    ("down", 7), ("hops", 7), ("coordinator MB", 16), ("party MB", 10),
)  # fmt: skip


def shown(case: Case) -> str:
    """Return the figures of one size, a line a system."""
    payload = 4 * case.dim
    lines = [f"\n{case}", "".join(f"{word:>{width}}" for word, width in HEADINGS)]
    ours = case.of(MASKS, "median_s")
    for system in case.found:
        median, limit = case.of(system, "median_s"), case.ratio(system, LIMIT)
        if median is None:
            continue
        hops = case.of(system, "loopback")
        cells = (
            (median * 1000, 12, ",.1f"),
            (median / ours if ours else None, 8, ".2f"),
            (limit, 7, ".1f"),
            (thousand(case.of(system, "cpu_s")), 9, ",.0f"),
            (case.of(system, "first_s"), 9, ".1f"),
            *(
                (None if (moved := case.of(system, way)) is None else moved / payload, 7, ".2f")
                for way in ("up", "down")
            ),
            (None if hops is None else hops / (2 * payload * case.parties), 7, ".1f"),
            (case.of(system, "coordinator_mb"), 16, ",.0f"),
            (case.of(system, "party_mb"), 10, ",.0f"),
        )
        told = (f"{'' if value is None else format(value, how):>{width}}" for value, width, how in cells)
        lines.append(f"{system:<16}{''.join(told)}")
    return "\n".join([*lines, *(f"{system}: not measured: {why}" for system, why in case.why.items())])


LEGEND = """
x ours: times our masked round; cpu: processor time of the coordinator and all daemons in a round; first: from nothing
to the first round; up, down: bytes of a party over 4 bytes a parameter; hops: bytes of all over loopback, everybody's
on this machine, over what the network itself needs (a model down and an update up); MB: the most that the processes of
a coordinator, and of one party, have held."""


# --- the whole -------------------------------------------------------------------------------------------------------


def numbers(text: str) -> list[int]:
    """Read "1e5,1e6"."""
    return [int(float(one)) for one in text.split(",")]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=numbers, default=list(ROUNDS), help="parameters of a model")
    parser.add_argument("--parties", type=numbers, default=[3, 10])
    parser.add_argument("--bits", type=int, default=22, help="of an entry of ours; L moves 32 whatever these are")
    parser.add_argument("--rounds", type=int, help="rounds of ours and of L that count; by size unless told")
    parser.add_argument("--turns", type=int, default=3, help="how often everything of ours is measured")
    parser.add_argument("--peer-turns", type=int, default=1, help="in how many of these turns the peers are")
    parser.add_argument("--peer-rounds", type=int, help="rounds of a peer; 3 to 5 unless told")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--patience", type=float, default=0, help="seconds for measuring again what others disturbed")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out, not L")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    here = machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()), flush=True)
    peers = [] if asked.ours_only else asked.peers
    if peers and not PEERS_PYTHON.exists():
        peers = []
        print(PEERS_MISSING)
    quiet, bars, cases = Quiet(asked.patience), Bars(), []
    for parties in asked.parties:
        for dim in asked.dims:
            case = Case(dim, parties)
            if dim * parties > LARGEST:
                print(f"{case}: left out, too large for one machine")
                continue
            taken(case, asked, quiet, peers)
            judged(bars, case)
            cases.append(case)
    killed = lost(asked, quiet)
    judged_lost(bars, killed)
    for case in cases:
        print(shown(case))
    print(LEGEND)
    shares = quiet.shares or [0.0]
    print(f"\nmeanwhile others used {middle(shares):.2f} of a core, {max(shares):.2f} at most\n{bars}")
    for what in bars.unmeasured:
        print(f"not measured: {what}")
    if asked.json:
        found = [vars(case) for case in (*cases, killed)]
        others = {"median": middle(shares), "most": max(shares)}
        rows = {"rows": bars.rows, "unmeasured": bars.unmeasured, "others_used": others, "machine": here}
        print(json.dumps({"cases": found, **rows}))


if __name__ == "__main__":
    main()
