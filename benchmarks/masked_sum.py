"""Masked sums beside Flower's SecAgg+, TenSEAL's CKKS and the limit of this machine: client, aggregator, bytes.

Ours and the peers take turns in one run, warm, each in its own process; `peers/rounds.py` says what is in our time. A
ratio is the median of the ratios of the turns, so that load on the machine hits both. Bars are what the project
promises itself; nothing here fails because something is slow, but a sum that is not exact ends the run.

    python benchmarks/masked_sum.py --parties 10 --dim 1000000              client, aggregator, limits, bytes
    python benchmarks/masked_sum.py --all                                    and 100 parties, and a round over loopback
    python benchmarks/masked_sum.py --parties 100 --dropped 30 --ours-only   another size, without the peers
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM, Mode
from peers.quiet import Quiet
from peers.rounds import Cast, Numbers, Round, as_the_drivers, played_round

HERE = Path(__file__).parent
PEERS_PYTHON = HERE.parent / ".peers" / "bin" / "python"
PEERS_MISSING = "the peers are not installed, only ours is measured: make peers"
PIECES_KIB = (16, 32, 64, 128, 256, 512)  # AES is fed in pieces of these sizes; the fastest is the limit
MASKS = 500  # of which the aggregator takes off at least so many in one go
BITS_OF_THE_WIRE = {22: 1.01, 16: 0.68, 12: 0.51}  # bits a value -> most bytes on the wire, of those of float32
CLIENT, GOOD_CLIENT = 8.0, 15.0  # times faster than Flower; the second is what we go for
AGGREGATOR = {0: 20.0, 1: 40.0, 3: 60.0}  # dropped -> times faster than Flower
TENSEAL, TENSEAL_BYTES, TENSEAL_TURNS = 80.0, 14.0, 3
MASK_LOOP, UNMASK = 1.5, 1.3  # times the limit
MANY, MANY_DROPPED, MANY_S, MANY_GB = 100, 30, 2.0, 1.5
MANY_CHECKING = 3  # of them check the total: it is not what is measured there, and takes each of them long
LOOPBACK = 1.3  # times a plain upload and download


@dataclass
class Table:
    """Rows of bar, reached and verdict."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def at_least(self, what: str, bar: float, reached: float, unit: str = "x", note: str = "") -> None:
        """Add a row whose figure must not be below the bar."""
        self._add(what, f">= {bar:g}{unit}", reached, unit, reached >= bar, note)

    def at_most(self, what: str, bar: float, reached: float, unit: str = "x", note: str = "") -> None:
        """Add a row whose figure must not be above the bar."""
        self._add(what, f"<= {bar:g}{unit}", reached, unit, reached <= bar, note)

    def _add(self, what: str, bar: str, reached: float, unit: str, holds: bool, note: str) -> None:
        row = {"what": what, "bar": bar, "reached": reached, "unit": unit, "reached_bar": bool(holds), "note": note}
        self.rows.append(row)

    def __str__(self) -> str:
        lines = [f"{'':<62}{'bar':>10}{'reached':>12}"]
        for row in self.rows:
            shown = f"{row['reached']:.3g}{row['unit']}"
            verdict = "yes" if row["reached_bar"] else "MISSED"
            lines.append(f"{row['what']:<62}{row['bar']:>10}{shown:>12}  {verdict:<7}{row['note']}".rstrip())
        return "\n".join(lines)


class Peer:
    """A peer's process: a line in, a measurement out; it stays warm between turns."""

    def __init__(self, script: str, *arguments: object) -> None:
        command = [str(PEERS_PYTHON), str(HERE / "peers" / script), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __call__(self, line: object = "") -> dict[str, Any]:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        for answer in self.process.stdout:
            if answer.startswith("{"):  # libraries print warnings of their own
                return json.loads(answer)
        raise SystemExit(f"a peer ended with {self.process.wait()}: run {self.process.args} to see why")

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


# --- the machine and its limit ---------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """Describe the machine and what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": said.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "vaes": "vaes" in said.get("flags", ""),
        "memory_gib": round(memory_kib / 2**20),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cryptography": metadata.version("cryptography"),
        "openssl": backend.openssl_version_text(),
        "pynacl": metadata.version("pynacl"),
        "load": os.getloadavg()[0],
    }


def keystream_gb_s(mode: Mode) -> float:
    """Return GB/s of AES-256 keystream on one core, the best of all piece sizes and tries."""
    best = 0.0
    for kib in PIECES_KIB:
        zeros, out = bytes(kib << 10), bytearray((kib << 10) + 15)
        for _ in range(40):  # short ones, so that some of them are undisturbed
            encryptor, pieces = Cipher(AES(bytes(32)), mode).encryptor(), (8 << 10) // kib
            began = time.perf_counter()
            for _ in range(pieces):
                encryptor.update_into(zeros, out)
            best = max(best, pieces * len(zeros) / (time.perf_counter() - began) / 1e9)
    return best


def limits() -> dict[str, float]:
    """AES-256-CTR, and the counter mode inside GCM, which uses wider instructions where there are any."""
    return {"ctr_gb_s": keystream_gb_s(CTR(bytes(16))), "gcm_gb_s": keystream_gb_s(GCM(bytes(12)))}


def milliseconds(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Return the medians of `repeat` calls after a warm one, on the clock and of processor time."""
    work()
    spent, used = [], []
    for _ in range(repeat):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        spent.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - began_cpu) * 1000)
    return statistics.median(spent), statistics.median(used)


# --- turns -----------------------------------------------------------------------------------------------------------


def middle(found: Sequence[float]) -> float:
    return statistics.median(found)


@dataclass
class Turns:
    """What all turns found, by number of dropped clients."""

    ours: dict[int, list[Round]] = field(default_factory=dict)
    flower: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    tenseal: list[dict[str, Any]] = field(default_factory=list)

    def ratio_to_flower(self, dropped: int, what: str) -> float:
        """The median over turns of how many times faster we are."""
        turns = zip(self.ours[dropped], self.flower[dropped], strict=True)
        return middle([theirs[what] / getattr(ours, what) for ours, theirs in turns])


def taken(asked: argparse.Namespace, cast: Cast, numbers: Numbers, quiet: Quiet, *, peers: bool) -> Turns:
    """Take all turns: ours, then the peers, again and again; a turn is one measurement, calm for both or for none."""
    turns = Turns()
    flower = Peer("flower_secagg.py", "--parties", asked.parties, "--dim", asked.dim) if peers else None
    tenseal = Peer("tenseal_ckks.py", "--dim", asked.dim) if peers else None
    processes = [peer.process.pid for peer in (flower, tenseal) if peer]

    def turn(dropped: int) -> tuple[Round, dict[str, Any] | None]:
        ours = played_round(cast, numbers, dropped, checking=asked.checking)
        return ours, flower(dropped) if flower else None

    for number in range(1 - asked.warm, asked.repeat + 1):
        for dropped in asked.dropped:
            if number < 1:  # only warms up
                turn(dropped)
                continue
            ours, theirs = quiet.calmest(lambda dropped=dropped: turn(dropped), processes)
            turns.ours.setdefault(dropped, []).append(ours)
            if theirs:
                turns.flower.setdefault(dropped, []).append(theirs)
        if tenseal and number <= TENSEAL_TURNS:  # a second each, and the ratio is large
            turns.tenseal.append(quiet.calmest(tenseal, processes))
    for peer in (flower, tenseal):
        if peer:
            peer.close()
    return turns


def compared(table: Table, turns: Turns) -> None:
    """Add the rows that hold us against the peers."""
    for dropped in turns.flower:
        if dropped == 0:
            ratio = turns.ratio_to_flower(0, "client_ms")
            used = turns.ratio_to_flower(0, "client_cpu_ms")
            note = f"({used:.3g}x in processor time; {GOOD_CLIENT:g}x is what we go for)"
            table.at_least("client, times faster than Flower SecAgg+", CLIENT, ratio, note=note)
        ratio = turns.ratio_to_flower(dropped, "aggregator_ms")
        used = turns.ratio_to_flower(dropped, "aggregator_cpu_ms")
        what = f"aggregator, times faster than Flower SecAgg+, {dropped} dropped"
        table.at_least(what, AGGREGATOR.get(dropped, AGGREGATOR[0]), ratio, note=f"({used:.3g}x in processor time)")
    if turns.tenseal:
        ours = turns.ours[min(turns.ours)]
        times, used = (
            middle([theirs[what] for theirs in turns.tenseal]) / middle([getattr(one, what) for one in ours])
            for what in ("client_ms", "client_cpu_ms")
        )
        note = f"({used:.3g}x in processor time)"
        table.at_least("client, times faster than TenSEAL CKKS", TENSEAL, times, note=note)
        table.at_least("bytes of a client, times fewer than TenSEAL", TENSEAL_BYTES, larger(turns))


def larger(turns: Turns) -> float:
    """How many times more bytes a client of TenSEAL sends."""
    ours = turns.ours[min(turns.ours)]
    return middle([theirs["up_bytes"] for theirs in turns.tenseal]) / middle([one.up_bytes for one in ours])


def against_the_limit(table: Table, asked: argparse.Namespace, limit_gb_s: float, quiet: Quiet) -> dict[str, float]:
    """Add the rows of masking and unmasking, in one thread; return their milliseconds."""
    numbers = Numbers(parties=asked.parties, dim=asked.dim, bits=asked.bits)
    found = {}
    for what, masks, bar in (("mask loop", asked.parties, MASK_LOOP), ("unmask", MASKS, UNMASK)):
        loop = numbers.loop(masks)
        spent, used = quiet.calmest(lambda loop=loop: milliseconds(loop, asked.repeat))
        limit = masks * numbers.size_bytes / limit_gb_s / 1e6
        name = f"{what}, {masks} masks of {numbers.size_bytes / 1e6:.1f} MB, times the AES-256-CTR limit"
        note = f"({spent:.1f} ms, limit {limit:.1f} ms; {used / limit:.3g}x in processor time)"
        table.at_most(name, bar, spent / limit, note=note)
        found[what] = spent
    return found


def on_the_wire(table: Table, parties: int, dim: int) -> dict[int, float]:
    """Add the rows of bytes: a whole masked vector of so many bits a value, over float32."""
    found = {}
    for bits, bar in BITS_OF_THE_WIRE.items():
        ratio = Numbers(parties=parties, dim=dim, bits=bits).size_bytes / (4 * dim)
        table.at_most(f"wire over raw float32, {bits} bits, {parties} parties", bar, ratio)
        found[bits] = ratio
    return found


# --- in processes of their own ---------------------------------------------------------------------------------------


def child(*command: object) -> dict[str, Any]:
    """Run one of our own programs and return the object on its last line."""
    done = subprocess.run([sys.executable, *map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def many(table: Table, asked: argparse.Namespace) -> dict[str, Any]:
    """Add the rows of many parties, in a process of its own for the sake of its memory."""
    found = child(
        __file__, "--sums-only", "--json", "--parties", MANY, "--dim", asked.dim, "--dropped", MANY_DROPPED,
        "--bits", asked.bits, "--checking", MANY_CHECKING, "--repeat", 3, "--warm", 0, "--patience", asked.patience,
    )  # fmt: skip
    what = f"{MANY} parties, {MANY_DROPPED} dropped"
    spent_s = found["aggregator_ms_dropped"][str(MANY_DROPPED)] / 1000
    used_s = found["aggregator_cpu_ms_dropped"][str(MANY_DROPPED)] / 1000
    note = f"({used_s:.2f} s of processor time)"
    table.at_most(f"aggregator, {what}", MANY_S, spent_s, " s", note)
    table.at_most(f"peak memory, {what}", MANY_GB, found["peak_gb"], " GB", "(aggregator and all clients)")
    return found


def over_loopback(table: Table, asked: argparse.Namespace) -> dict[str, Any]:
    """Add the row of a whole round between processes."""
    command = HERE / "peers" / "loopback.py", "--dim", asked.dim, "--bits", asked.bits, "--rounds", max(9, asked.repeat)
    found = Quiet(asked.patience).calmest(lambda: child(*command))
    plain = found["plain"]["median_ms"]
    for kind, words in (("ours", "keys and all"), ("ahead", "keys exchanged before")):
        spent = found[kind]["median_ms"]
        name = f"round over loopback TLS, 3 parties, {words}, times plain"
        table.at_most(name, LOOPBACK, spent / plain, note=f"({spent:.0f} ms, plain {plain:.0f} ms)")
    return found


# --- the whole -------------------------------------------------------------------------------------------------------


def summary(turns: Turns) -> dict[str, Any]:
    """Return medians of ours and of the peers."""
    fewest = min(turns.ours)
    of = {dropped: middle([one.aggregator_ms for one in rounds]) for dropped, rounds in turns.ours.items()}
    rounds = turns.ours[fewest]
    found = {
        "client_ms": middle([one.client_ms for one in rounds]),
        "client_cpu_ms": middle([one.client_cpu_ms for one in rounds]),
        "client_check_ms": middle([one.check_ms for one in rounds]),
        "aggregator_ms": of[fewest],
        "aggregator_ms_dropped": {str(dropped): spent for dropped, spent in of.items()},
        "aggregator_cpu_ms_dropped": {
            str(dropped): middle([one.aggregator_cpu_ms for one in rounds]) for dropped, rounds in turns.ours.items()
        },
        "client_stage_ms": merged([one.client_stage_ms for one in rounds]),
        "aggregator_stage_ms": merged([one.aggregator_stage_ms for one in turns.ours[max(turns.ours)]]),
        "up_bytes": middle([one.up_bytes for one in rounds]),
        "control_bytes": middle([one.control_bytes for one in rounds]),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    for dropped, theirs in turns.flower.items():
        found.setdefault("flower", {})[str(dropped)] = {
            what: middle([one[what] for one in theirs])
            for what in ("client_ms", "client_cpu_ms", "aggregator_ms", "aggregator_cpu_ms", "up_bytes")
        }
    if turns.tenseal:
        found["tenseal"] = {
            what: middle([one[what] for one in turns.tenseal]) for what in ("client_ms", "client_cpu_ms", "up_bytes")
        }
    return found


def merged(stages: list[dict[str, float]]) -> dict[str, float]:
    """Medians by stage."""
    return {stage: middle([one.get(stage, 0.0) for one in stages]) for stage in stages[0]}


def shown(found: dict[str, Any]) -> None:
    """Print where the time goes."""
    spent, used, check = found["client_ms"], found["client_cpu_ms"], found["client_check_ms"]
    print(f"client {spent:.2f} ms ({used:.2f} of processor time), checking the total {check:.2f} ms more")
    for who in ("client", "aggregator"):
        stages = sorted(found[f"{who}_stage_ms"].items(), key=lambda item: -item[1])
        print(f"  {who}: " + ", ".join(f"{stage} {spent:.2f}" for stage, spent in stages if spent >= 0.05))
    for dropped, spent in found["aggregator_ms_dropped"].items():
        theirs = found.get("flower", {}).get(dropped)
        beside = (
            f"; Flower: client {theirs['client_ms']:.1f}, aggregator {theirs['aggregator_ms']:.0f}" if theirs else ""
        )
        used = found["aggregator_cpu_ms_dropped"][dropped]
        print(f"aggregator {spent:.2f} ms ({used:.2f} of processor time), {dropped} dropped{beside}")
    if "tenseal" in found:
        print(f"TenSEAL: client {found['tenseal']['client_ms']:.0f} ms, {found['tenseal']['up_bytes'] / 1e6:.1f} MB")
    print(f"a client sends {found['up_bytes']:,.0f} bytes, {found['control_bytes']:,.0f} of them not its vector")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=10)
    parser.add_argument("--dim", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--dropped", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1, 3])
    parser.add_argument("--bits", type=int, default=22)
    parser.add_argument("--repeat", type=int, default=7, help="turns that count")
    parser.add_argument("--warm", type=int, default=1, help="turns before, that do not")
    parser.add_argument("--checking", type=int, help="how many clients check the opened total; all, unless told")
    parser.add_argument("--patience", type=float, default=60, help="seconds for measuring again what others disturbed")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    parser.add_argument("--sums-only", action="store_true", help="nothing but our sums: no peer, no limit")
    parser.add_argument("--all", action="store_true", help=f"also {MANY} parties, and a round over loopback")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    here = machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    peers = not (asked.ours_only or asked.sums_only)
    if peers and not PEERS_PYTHON.exists():
        peers = False
        print(PEERS_MISSING)
    as_the_drivers()
    cast, table = Cast.of(asked.parties), Table()
    numbers = Numbers(parties=asked.parties, dim=asked.dim, bits=asked.bits)
    quiet = Quiet(asked.patience)
    turns = taken(asked, cast, numbers, quiet, peers=peers)
    found = summary(turns) | {"others_used": middle(quiet.shares), "others_used_most": max(quiet.shares)}
    print(f"{asked.parties} parties, {asked.dim:,} values of {asked.bits} bits; every sum was exact")
    print(f"meanwhile others used {found['others_used']:.2f} of a core, {found['others_used_most']:.2f} at most")
    shown(found)
    if not asked.sums_only:
        found["limits"] = quiet.calmest(limits)
        print(
            f"limit of one core: AES-256-CTR {found['limits']['ctr_gb_s']:.2f} GB/s, "
            f"as GCM {found['limits']['gcm_gb_s']:.2f} GB/s"
        )
        compared(table, turns)
        found["loops_ms"] = against_the_limit(table, asked, found["limits"]["ctr_gb_s"], quiet)
        found["wire_over_float32"] = on_the_wire(table, asked.parties, asked.dim)
    if asked.all:
        found["many"] = many(table, asked)
        found["loopback"] = over_loopback(table, asked)
    if table.rows:
        print(table)
    found["ratios"] = {row["what"]: row["reached"] for row in table.rows}
    if asked.json:
        print(json.dumps({**found, "rows": table.rows, "machine": here}))


if __name__ == "__main__":
    main()
