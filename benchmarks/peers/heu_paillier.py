"""sf-heu's ZPaillier as a peer (short exponents and a fixed base, C++): sums, encryption and dot products.

Every line on standard input is a task and a count, answered with one JSON line, as in `phe_paillier.py`. It adds and
decrypts in a pool of threads of its own, one a core. Nothing is re-randomised. Runs in the environment of `make peers`:

    echo "sum 500" | .peers/bin/python benchmarks/peers/heu_paillier.py --bits 2048
"""

from __future__ import annotations

import argparse
import json
import random
import sys

import numpy as np
from heu import numpy as hnp
from heu import phe as heu
from meter import Meter

PARTIES = 3
PACKED_BITS = 2016  # 28 slots of 72 bits


class Peer:
    """One party holds the key; all live in this process."""

    def __init__(self, bits: int) -> None:
        self.kit = hnp.setup(heu.SchemaType.ZPaillier, bits)
        self.encryptor, self.decryptor = self.kit.encryptor(), self.kit.decryptor()
        self.evaluator = self.kit.evaluator()
        self.draw, self.long = random.Random(1), heu.BigintEncoderParams()

    def sum(self, count: int) -> dict[str, object]:
        """Encrypt, write, read, add and decrypt `count` int64 of each party; their sums stay within int64 here."""
        draw = np.random.default_rng(1)
        numbers = [draw.integers(-(2**61), 2**61, count) for _ in range(PARTIES)]
        found, opened = self._summed([self.kit.array(own) for own in numbers])
        assert np.array_equal(opened.to_numpy(), sum(numbers))
        return found

    def packed(self, count: int) -> dict[str, object]:
        """The same with `count` long plaintexts."""
        numbers = [[self.draw.getrandbits(PACKED_BITS) for _ in range(count)] for _ in range(PARTIES)]
        found, opened = self._summed([self.kit.array(own, self.long) for own in numbers])
        totals = [sum(column) for column in zip(*numbers, strict=True)]
        assert [int(str(total)) for total in opened.to_numpy(heu.BigintDecoder())] == totals
        return found

    def _summed(self, plain: list[hnp.PlaintextArray]) -> tuple[dict[str, object], hnp.PlaintextArray]:
        meter = Meter()
        sent = [self.encryptor.encrypt(own).serialize() for own in plain]
        meter.lap("encrypt")
        totals = hnp.CiphertextArray.load_from(sent[0])
        for each in sent[1:]:
            totals = self.evaluator.add(totals, hnp.CiphertextArray.load_from(each))
        meter.lap("sum")
        opened = self.decryptor.decrypt(totals)
        meter.lap("decrypt")
        return {**meter.found, "bytes": len(sent[0]) / plain[0].size}, opened

    def encrypt(self, count: int) -> dict[str, object]:
        """Encrypt `count` integers in one call."""
        plain = self.kit.array(np.arange(count))
        meter = Meter()
        self.encryptor.encrypt(plain)
        return meter.lap("encrypt").found

    def dot(self, count: int) -> dict[str, object]:
        """Return an encrypted dot product with weights of 32 bits."""
        draw = np.random.default_rng(1)
        plain, weights = draw.integers(0, 2**22, (count, 1)), draw.integers(0, 2**32, (1, count))
        given, factors = self.encryptor.encrypt(self.kit.array(plain)), self.kit.array(weights)
        meter = Meter()
        found = self.evaluator.matmul(factors, given)
        meter.lap("dot")
        assert np.array_equal(self.decryptor.decrypt(found).to_numpy(), weights @ plain)
        return meter.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=2048)
    peer = Peer(parser.parse_args().bits)
    for line in sys.stdin:
        task, count = line.split()
        print(json.dumps({"peer": "heu", "count": int(count), **getattr(peer, task)(int(count))}), flush=True)


if __name__ == "__main__":
    main()
