"""Paillier sums beside phe and sf-heu's ZPaillier, and what a joint key costs: processor time, the clock, bytes.

Ours with gmpy2 alone, ours with the compiled kernel where there is one (`make kernel`), and the peers take turns in one
run, warm, each peer in its own process. A ratio is the median of the ratios of the turns, so that load on the machine
hits both. The whole sum is run in full here; peers get a sample of it, scaled up: they have no step whose cost does not
grow with the numbers. Nothing fails because something is slow, but a sum that is not exact ends the run.

    python benchmarks/paillier.py                         both tables
    python benchmarks/paillier.py --ours-only --turns 1   without the peers
    python benchmarks/paillier.py --daemons 0             without the daemons
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import gmpy2
from masked_sum import PEERS_MISSING, PEERS_PYTHON, Peer, Table, child
from peers.meter import Meter
from peers.quiet import Quiet

from federation.crypto import blinding
from federation.crypto.compiled import LeftOut
from federation.crypto.paillier import proofs, threshold
from federation.crypto.paillier.comb import comb
from federation.crypto.paillier.engine import Engine
from federation.crypto.paillier.kernel import loaded
from federation.crypto.paillier.keys import OwnerKey
from federation.crypto.paillier.packing import Header, Slots
from federation.crypto.paillier.threshold import JointKey, KeyShare

HERE = Path(__file__).parent
PARTIES, VALUE_BITS, CORES = 3, 64, 2
HOLDERS = ("guangdong", "hongkong", "macao")
PEERS = {"phe": "phe_paillier.py", "sf-heu": "heu_paillier.py"}
SAMPLE = {"phe": 20, "sf-heu": 300}  # numbers of each party that a peer sums
PACKED = {"phe": 5, "sf-heu": 40}  # long plaintexts
SINGLES = {"phe": 20, "sf-heu": 200}
TERMS = 512  # of a dot product
OURS_AT_ONCE = 256  # ciphertexts that we encrypt in one call, beside one after another
# times faster than phe and than sf-heu
CPU, CLOCK, ENCRYPT, DOT = (180.0, 30.0), (300.0, 50.0), (12.0, 1.0), (6.0, 8.0)
BYTES = 19.0  # on the wire for an int64
KERNEL = "kernel: "  # before what was measured with it
GRAM = 1275  # numbers of a matrix of products of 50 columns
PARTIALS_S, PROOF_MS, KNOWN_MS = 1.0, 60.0, 1.0
# bits of a joint key, ciphertexts in a round: what one statistic costs all members together
ROUNDS = ((2048, 1), (3072, 1), (3072, 6))
DAEMON_BITS = 3072
DAEMONS_S = {"mean and variance": 0.6, "OLS of 5 coefficients": 0.6, "histogram of 256 bins": 1.0}
NUMBERS = {"mean and variance": 3, "OLS of 5 coefficients": 21, "histogram of 256 bins": 256}  # of a party, at least


def engines() -> tuple[str, ...]:
    """Return what is before the names of what we measure: nothing for gmpy2 alone, and the kernel's word."""
    return ("", KERNEL) if loaded() else ("",)


@contextmanager
def engine(which: str) -> Iterator[None]:
    """Compute with one of them, all tables forgotten."""
    comb.cache_clear()
    with nullcontext() if which else LeftOut():
        yield


@contextmanager
def cores(count: int) -> Iterator[None]:
    """Lend so many threads, as a daemon does; one is none."""
    if count == 1:
        yield
        return
    with ThreadPoolExecutor(count) as pool:
        take_back = blinding.lend(pool.map)
        yield
        take_back()


def machine() -> dict[str, Any]:
    """Describe the machine and what the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return {
        "cpu": said.get("model name", platform.machine()),
        "cores": os.cpu_count(),
        "kernel": bool(loaded()),
        "python": platform.python_version(),
        "gmpy2": metadata.version("gmpy2"),
        "gmp": gmpy2.mp_version(),
        "load": os.getloadavg()[0],
    }


# --- a single owner's key ----------------------------------------------------------------------------------------


class Ours:
    """What we do with a key that one party owns; peers do the same work."""

    def __init__(self, bits: int) -> None:
        self.key = OwnerKey.made(bits, bytes(32))
        self.public = self.key.public
        self.slots = Slots.fitting(value_bits=VALUE_BITS, terms=PARTIES, modulus_bits=bits)
        self.draw = random.Random(1)
        self._uses = 0

    def engine(self) -> Engine:
        """Return another party's engine."""
        self._uses += 1
        return Engine(self.public, self._uses.to_bytes(32, "big"))

    def sum(self, numbers: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Pack, encrypt, write, read, check, add, decrypt and unpack; each party makes its table anew."""
        slots, count, sent = self.slots, len(numbers[0]), []
        header = Header(scale=1, value_bits=VALUE_BITS, terms=1, count=count)
        meter = Meter()
        for own in numbers:
            comb.cache_clear()
            mine = self.engine()
            sent.append(header.to_bytes() + mine.to_bytes(mine.encrypt(slots.pack(own))))
        meter.lap("encrypt")
        size = len(header.to_bytes())
        whole = Header.of(sent[0][:size]).plus([Header.of(each[:size]) for each in sent[1:]], slots)
        total = mine.product([mine.from_bytes(each[size:]) for each in sent])
        meter.lap("sum")
        opened = slots.unpack(self.key.decrypt(total), whole.terms, count)
        meter.lap("decrypt")
        assert opened == [sum(column) for column in zip(*numbers, strict=True)], "a sum that is not exact"
        return {**meter.found, "bytes": len(sent[0]) / count}

    def numbers(self, count: int) -> list[list[int]]:
        """Return int64 of each party."""
        return [[self.draw.randrange(-(2**63), 2**63) for _ in range(count)] for _ in range(PARTIES)]

    def encrypt(self, at_once: int) -> dict[str, Any]:
        """Encrypt, so many plaintexts in one call, and tell what one took. The table is there."""
        mine, calls = self.engine(), -(-OURS_AT_ONCE // at_once)
        plain = [[self.draw.getrandbits(2016) for _ in range(at_once)] for _ in range(calls)]
        mine.encrypt([0] * 8000)
        meter = Meter()
        for some in plain:
            mine.encrypt(some)
        meter.lap("encrypt")
        return {what: meter.found[what] / (calls * at_once) for what in ("cpu_s", "wall_s")}

    def dot(self, terms: int) -> dict[str, Any]:
        """Return what a term took of an encrypted dot product with weights of 32 bits; tables are there."""
        mine = self.engine()
        plain = [self.draw.getrandbits(40) for _ in range(terms)]
        weights = [self.draw.getrandbits(32) for _ in plain]
        given = mine.encrypt(plain)
        mine.dot(given, weights)  # makes what serves every later one
        meter = Meter()
        found = mine.dot(given, weights)
        meter.lap("dot")
        assert self.key.decrypt([found]) == [sum(map(int.__mul__, plain, weights))]
        return {what: meter.found[what] / terms for what in ("cpu_s", "wall_s")}


@dataclass
class Turns:
    """What every turn found: a whole sum of ours, a number, a ciphertext or a term of the others."""

    ours: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    peers: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)

    def keep(self, what: str, ours: dict[str, Any], theirs: dict[str, dict[str, Any]]) -> None:
        """Keep one turn."""
        self.ours.setdefault(what, []).append(ours)
        for peer, found in theirs.items():
            self.peers.setdefault(peer, {}).setdefault(what, []).append(found)

    def ratio(self, peer: str, what: str, clock: str, scale: float = 1.0) -> float:
        """Return the median over turns of how many times longer the peer takes for one, `scale` of them to ours."""
        turns = zip(self.ours[what], self.peers[peer][what], strict=True)
        return statistics.median(theirs[clock] / theirs["count"] * scale / ours[clock] for ours, theirs in turns)

    def middle(self, what: str, clock: str) -> float:
        """Return our median."""
        return statistics.median(one[clock] for one in self.ours[what])

    def middle_of(self, peer: str, what: str, clock: str) -> float:
        """Return a peer's median for one of whatever it counted."""
        return statistics.median(one[clock] / one["count"] for one in self.peers[peer][what])


def taken(asked: argparse.Namespace, ours: Ours, quiet: Quiet, *, peers: bool) -> Turns:
    """Take all turns: ours, then the peers, again and again; a turn is calm for all or for none."""
    turns = Turns()
    processes = {name: Peer(script, "--bits", asked.bits) for name, script in PEERS.items()} if peers else {}
    pids = [peer.process.pid for peer in processes.values()]
    numbers = ours.numbers(asked.values)

    def turn(what: str, work: Callable[[], dict[str, Any]], task: str, counts: dict[str, int], used: int) -> None:
        def all_of_us() -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
            own = {}
            for which in engines():
                with engine(which), cores(used):
                    own[which] = work()
            return own, {name: peer(f"{task} {counts[name]}") for name, peer in processes.items()}

        own, theirs = quiet.calmest(all_of_us, pids)
        for which, found in own.items():
            turns.keep(f"{which}{what}", found, theirs)

    for peer in processes.values():  # warm
        peer("sum 2")
    ours.sum([own[:2000] for own in numbers])
    terms = dict.fromkeys(PEERS, TERMS)
    for _ in range(asked.turns):
        turn("sum", lambda: ours.sum(numbers), "sum", SAMPLE, 1)
        turn("sum on both cores", lambda: ours.sum(numbers), "sum", SAMPLE, CORES)
        packed = {name: peer(f"packed {PACKED[name]}") for name, peer in processes.items()}
        for which in engines():
            turns.keep(f"{which}packed", turns.ours[f"{which}sum"][-1], packed)
        turn("encrypt", lambda: ours.encrypt(1), "encrypt", SINGLES, 1)
        turn("encrypt at once", lambda: ours.encrypt(OURS_AT_ONCE), "encrypt", SINGLES, 1)
        turn("dot", lambda: ours.dot(TERMS), "dot", terms, 1)
    for peer in processes.values():
        peer.close()
    return turns


def compared(table: Table, turns: Turns, asked: argparse.Namespace, slots: Slots) -> dict[str, float]:
    """Add the rows that hold us against the peers; return the ratios with equal packing."""
    count, equal = asked.values, {}
    for which in engines():
        for place, peer in enumerate(turns.peers):
            sample = f"(the peer's {SAMPLE[peer]} x {PARTIES}, scaled)"
            ratio = turns.ratio(peer, f"{which}sum", "cpu_s", count)
            what = f"{which}{count:,} int64 x {PARTIES}: encrypt to decrypt, times {peer}"
            table.at_least(f"{what}, CPU", CPU[place], ratio, note=sample)
            ratio, used = (turns.ratio(peer, f"{which}sum on both cores", of, count) for of in ("wall_s", "cpu_s"))
            threads = "one thread" if peer == "phe" else "threads of its own"
            note = f"(the peer with {threads}; {used:.3g}x in processor time)"
            table.at_least(f"{which}  the same on both cores, clock", CLOCK[place], ratio, note=note)
            equal[f"{which}{peer}"] = turns.ratio(peer, f"{which}packed", "cpu_s", slots.ciphertexts(count))
            ratio, at_once = (turns.ratio(peer, f"{which}encrypt{how}", "cpu_s") for how in ("", " at once"))
            note = f"(one in a call; {at_once:.3g}x with {OURS_AT_ONCE} in a call)"
            table.at_least(
                f"{which}encrypt one ciphertext, public key, times {peer}, CPU", ENCRYPT[place], ratio, note=note
            )
            ratio = turns.ratio(peer, f"{which}dot", "cpu_s")
            table.at_least(f"{which}dot product, {TERMS} x 32 bits, a term, times {peer}, CPU", DOT[place], ratio)
    return equal


def shown(turns: Turns, equal: dict[str, float], asked: argparse.Namespace) -> None:
    """Print what ratios are made of."""
    for which in engines():
        one, both = turns.ours[f"{which}sum"], f"{which}sum on both cores"
        of = {stage: statistics.median(turn["stage_cpu_s"][stage] for turn in one) for stage in one[0]["stage_cpu_s"]}
        stages = ", ".join(f"{stage} {used:.2f}" for stage, used in of.items())
        whole = f"{which}{asked.values:,} int64 x {PARTIES}, {asked.bits} bits"
        print(f"{whole}: {turns.middle(f'{which}sum', 'cpu_s'):.2f} s CPU ({stages});")
        spent, used = turns.middle(both, "wall_s"), turns.middle(both, "cpu_s")
        print(f"  on both cores {spent:.2f} s on the clock, {used:.2f} s CPU")
        single, at_once, term = (
            1e6 * turns.middle(f"{which}{what}", "cpu_s") for what in ("encrypt", "encrypt at once", "dot")
        )
        print(f"  one ciphertext {single:.0f} us, {at_once:.0f} in calls of {OURS_AT_ONCE}; a term {term:.1f} us")
    for peer in turns.peers:
        used = turns.middle_of(peer, "sum", "cpu_s") * asked.values
        single, term = (1e6 * turns.middle_of(peer, what, "cpu_s") for what in ("encrypt", "dot"))
        print(f"{peer}: {used:,.0f} s CPU for the whole, one ciphertext {single:,.0f} us, a term {term:.0f} us;")
        by_hand = " and ".join(f"{equal[f'{which}{peer}']:.3g}x ({which or 'gmpy2'})" for which in engines())
        print(f"  whoever packs for {peer} by hand as we do has our processor time {by_hand.replace(': ', '')}")


# --- a joint key -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joint:
    """A key that three hold, made by a dealer: its shares are as long as those of a ceremony."""

    key: JointKey
    shares: dict[str, KeyShare]

    @classmethod
    def of(cls, bits: int) -> Joint:
        return cls(*threshold.dealt(bits, HOLDERS, bytes(31) + b"\x04"))

    def round(
        self, count: int, draw: random.Random, clock: Callable[[], float] = time.perf_counter
    ) -> dict[str, float]:
        """Open a sum of `count` ciphertexts; return seconds of each kind of work."""
        key, public, spent = self.key, self.key.public, {}
        at = clock()

        def lap(what: str) -> None:
            nonlocal at
            spent[what] = spent.get(what, 0.0) + clock() - at
            at = clock()

        plain = {name: [draw.getrandbits(public.bits - 16) for _ in range(count)] for name in HOLDERS}
        sent, known, answers, shown = {}, {}, {}, {}
        for place, name in enumerate(HOLDERS):
            mine, context = Engine(public, place.to_bytes(32, "big")), name.encode()
            at = clock()
            alphas = mine.alphas(plain[name])
            sent[name] = mine.encrypt(plain[name], alphas)
            lap("encrypt")
            known[name] = proofs.prove_plaintexts(public, plain[name], alphas, sent[name], context, bytes(32))
            lap("prove knowledge")
        for name in HOLDERS:
            proofs.check_plaintexts(public, sent[name], name.encode(), known[name])
            lap("check knowledge")
        total = mine.product(list(sent.values()))
        lap("product")
        for name in HOLDERS:
            answers[name] = threshold.partials(key, self.shares[name], total)
            lap("partials")
            share, context = self.shares[name], b"opening"
            shown[name] = proofs.prove_partials(key, share, total, answers[name], context, bytes(32))
            lap("prove partials")
        for name in HOLDERS:
            proofs.check_partials(key, name, total, answers[name], b"opening", shown[name])
            lap("check partials")
        assert not proofs.unproved_partials(key, total, answers, b"opening", shown)
        lap("check all partials")
        opened = threshold.combine(key, total, answers)
        lap("combine")
        assert opened == [sum(column) % public.n for column in zip(*plain.values(), strict=True)]
        return spent


def joint_rows(table: Table, asked: argparse.Namespace, quiet: Quiet) -> dict[str, Any]:
    """Add the rows of the distributed key; return medians."""
    joint, draw, found = Joint.of(asked.bits), random.Random(2), {}
    count = Slots.fitting(value_bits=VALUE_BITS, terms=PARTIES, modulus_bits=asked.bits).ciphertexts(GRAM)
    for which in engines():
        medians = {}
        for name, used, clock in (("both", CORES, time.perf_counter), ("cpu", 1, time.process_time)):
            with engine(which), cores(used):
                joint.round(count, draw)
                turns = [quiet.calmest(lambda clock=clock: joint.round(count, draw, clock)) for _ in range(3)]
            medians[name] = {what: statistics.median(turn[what] for turn in turns) / PARTIES for what in turns[0]}
        both, cpu = medians["both"], medians["cpu"]
        rows = (
            (f"{GRAM:,} numbers in {count} ciphertexts: partials of a party", "partials", PARTIALS_S, 1.0, " s"),
            ("  prove them", "prove partials", PROOF_MS, 1e3, " ms"),
            ("  check that proof", "check partials", PROOF_MS, 1e3, " ms"),
            ("  check a party's knowledge, a ciphertext", "check knowledge", KNOWN_MS, 1e3 / count, " ms"),
        )
        for what, step, bar, scale, unit in rows:
            note = f"({cpu[step] * scale:.3g}{unit} CPU)"
            table.at_most(f"{which}{what}", bar, both[step] * scale, unit, note)
        found[which or "gmpy2"] = medians
    return {"ciphertexts": count, "seconds": found}


def rounds(quiet: Quiet) -> list[dict[str, Any]]:
    """Print what the integers of a whole round cost three parties and a coordinator who checks as well."""
    found, draw = [], random.Random(3)
    for (bits, count), which in itertools.product(ROUNDS, engines()):
        joint = Joint.of(bits)
        with engine(which):
            for _ in range(3):  # tables grow
                joint.round(count, draw)
            spent = quiet.calmest(lambda joint=joint, count=count: joint.round(count, draw, time.process_time))
        members, of_one = PARTIES + 1, {*spent} - {"product", "check all partials", "combine"}
        each = {what: seconds / (PARTIES if what in of_one else 1) for what, seconds in spent.items()}
        checks = (PARTIES - 1) * PARTIES + PARTIES  # every party checks the others' knowledge, the coordinator all
        work = {what: PARTIES * each[what] for what in ("encrypt", "prove knowledge", "partials", "prove partials")}
        work["check knowledge"] = checks * each["check knowledge"]
        work |= {what: members * each[what] for what in ("product", "check all partials", "combine")}
        line = ", ".join(f"{what} {1e3 * seconds:.0f}" for what, seconds in each.items())
        whole = sum(work.values())
        print(f"{which}{bits} bits, {count} ciphertexts, ms CPU: {line}; of all {members} members {whole:.2f} s")
        found.append({"engine": which or "gmpy2", "bits": bits, "ciphertexts": count, "cpu_s": each, "of_all_s": whole})
    return found


def over_daemons(table: Table, asked: argparse.Namespace, quiet: Quiet, *, peers: bool) -> dict[str, Any]:
    """Add the rows of statistics over three daemons, in a process of its own; phe has no network and one key holder."""
    command = HERE / "peers" / "keyed.py", "--bits", DAEMON_BITS, "--runs", asked.daemons
    found = quiet.calmest(lambda: child(*command))
    each_s = {}
    if peers:
        phe = Peer(PEERS["phe"], "--bits", DAEMON_BITS)
        phe("sum 1")
        each_s = {"phe": phe("sum 6")["cpu_s"] / 6}
        phe.close()
    how = "kernel" if loaded() else "gmpy2"
    for what, bar in DAEMONS_S.items():
        theirs = f"; phe without network, CPU, {each_s['phe'] * NUMBERS[what]:.2g} s" if each_s else ""
        note = f"({how}; by masks {found[f'{what}, masks']:.2g} s{theirs})"
        table.at_most(f"three daemons, TLS, {DAEMON_BITS} bits: {what}", bar, found[f"{what}, paillier"], " s", note)
    return found


# --- the whole ---------------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--values", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--daemons", type=int, default=9, help="runs of each statistic over daemons; none with 0")
    parser.add_argument("--patience", type=float, default=60, help="seconds for measuring again what others disturbed")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    return parser.parse_args()


def main() -> None:
    asked, here, table = arguments(), machine(), Table()
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    peers = not asked.ours_only
    if peers and not PEERS_PYTHON.exists():
        peers = False
        print(PEERS_MISSING)
    quiet, ours = Quiet(asked.patience), Ours(asked.bits)
    turns = taken(asked, ours, quiet, peers=peers)
    equal = compared(table, turns, asked, ours.slots)
    wire = turns.ours["sum"][0]["bytes"]
    table.at_most("bytes of an int64 on the wire", BYTES, wire, " B")
    shown(turns, equal, asked)
    joint = joint_rows(table, asked, quiet)
    found = {
        "cpu_s": turns.middle("sum", "cpu_s"),
        "wall_s_both_cores": turns.middle("sum on both cores", "wall_s"),
        "kernel_cpu_s": turns.middle(f"{KERNEL}sum", "cpu_s") if loaded() else None,
        "kernel_wall_s_both_cores": turns.middle(f"{KERNEL}sum on both cores", "wall_s") if loaded() else None,
        "bytes_a_value": wire,
        "ratios_with_equal_packing": equal,
        "joint": joint,
        "rounds": rounds(quiet),
        "daemons_s": over_daemons(table, asked, quiet, peers=peers) if asked.daemons else None,
        "others_used": statistics.median(quiet.shares),
        "others_used_most": max(quiet.shares),
    }
    print(f"meanwhile others used {found['others_used']:.2f} of a core, {found['others_used_most']:.2f} at most")
    print(table)
    if asked.json:
        print(json.dumps({**found, "rows": table.rows, "turns": {"ours": turns.ours, **turns.peers}, "machine": here}))


if __name__ == "__main__":
    main()
