"""Statistics over three daemons with TLS under a joint key, from submit to a result that everybody checked.

The key is a dealer's, put where a ceremony puts it, for its length is what costs; the daemons are told to take such
keys. Every daemon and the coordinator check all proofs before the next query, and whoever asked checks them again.

    python benchmarks/peers/keyed.py --bits 3072
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from clients.cli.stage import COORDINATOR, Stage
from clients.jurisdiction.joint_keys import JointKeys
from clients.local.development import certificate
from federation.coordinator.joint_keys import JointKeys as Certificates
from federation.coordinator.store import SqliteStore
from federation.crypto.paillier.threshold import dealt
from federation.identity import control, keys, roster_file
from federation.identity.sealed import SealedLog

PARTIES = ("guangdong", "hongkong", "macao")
ROWS, BINS = 1000, 256


def written(folder: Path) -> dict[str, str]:
    """Write one CSV a party and return party -> its tables: rows whose own figures are public, k = 1."""
    tables = {}
    for index, party in enumerate(PARTIES):
        source = folder / f"{party}.csv"
        rows = ["x,y,a,b,c,d"]
        for i in range(ROWS):
            x, a, b, c, d = ((i * step + index) % 1000 for step in (37, 101, 173, 211, 307))
            rows.append(f"{x},{(x + 3 * a + 2 * b + c + d + i % 13) % 1000},{a},{b},{c},{d}")
        source.write_text("\n".join(rows) + "\n")
        tables[party] = (
            f'[[dataset]]\nname = "people"\nsource = "{source}"\nk = 1\npublish_own_figures = true\n'
            "[dataset.columns]\n" + "".join(f'{x} = {{ kind = "integer", low = 0, high = 999 }}\n' for x in "xyabcd")
        )
    return tables


def keyed(stage: Stage, bits: int) -> None:
    """Put a dealt key with its certificate, and the shares, where a ceremony would have put them."""
    joint, shares = dealt(bits, PARTIES, bytes(32))
    me = {name: keys.load(stage.folder / "keys" / name) for name in PARTIES}
    roster = roster_file.in_force(roster_file.load(stage.folder / "roster.json"))
    with control.state_folder(stage.state(COORDINATOR)):
        store = SqliteStore(stage.state(COORDINATOR) / "events.db")
        whole = Certificates(store, roster).keep(certificate(joint, me, time.time_ns() // 10**6))
        store.close()
    for name, credentials in me.items():
        with control.state_folder(stage.state(name)), SealedLog(stage.state(name), credentials.storage_key) as vault:
            JointKeys(vault).keep(whole, shares[name])


def measured(bits: int, runs: int) -> dict[str, float]:
    """Return seconds by statistic, medians, and by masks beside."""
    with tempfile.TemporaryDirectory() as scratch:
        stage = Stage(Path(scratch) / "stage", written(Path(scratch)), development=True)
        stage.build()
        keyed(stage, bits)
        try:
            stage.start()
            found = {}
            for protection in ("paillier", "masks"):
                with stage.session(protection=protection) as session:
                    table = session.table("people")
                    asked = {
                        "mean and variance": lambda table=table: table.var("x"),
                        "OLS of 5 coefficients": lambda table=table: table.ols("y ~ a + b + c + d"),
                        f"histogram of {BINS} bins": lambda table=table: table.histogram("x", bins=BINS),
                    }
                    for what, ask in asked.items():
                        ask()
                        spent = []
                        for _ in range(runs):
                            began = time.perf_counter()
                            ask()
                            spent.append(time.perf_counter() - began)
                        found[f"{what}, {protection}"] = statistics.median(spent)
            return found
        finally:
            stage.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=3072)
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    print(json.dumps(measured(asked.bits, asked.runs)))


if __name__ == "__main__":
    main()
