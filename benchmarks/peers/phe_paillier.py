"""phe as a peer (python-paillier, with gmpy2): sums, encryption, dot products, and what a statistic needs of it.

Every line on standard input is a task and a count, answered with one JSON line: `sum 20` has three parties encrypt 20
int64 each and write them as its documentation does (JSON of decimal strings), adds, and decrypts. `packed` is the same
with plaintexts of 2,016 bits, as somebody would pack them by hand. Nothing is re-randomised. Runs in the environment
of `make peers`:

    echo "sum 20" | .peers/bin/python benchmarks/peers/phe_paillier.py --bits 2048
"""

from __future__ import annotations

import argparse
import json
import random
import sys

from meter import Meter
from phe import paillier, util

PARTIES = 3
PACKED_BITS = 2016  # 28 slots of 72 bits


class Peer:
    """One party holds the key; all live in this process."""

    def __init__(self, bits: int) -> None:
        assert util.HAVE_GMP, "phe without gmpy2 is no peer"
        self.public, self.private = paillier.generate_paillier_keypair(n_length=bits)
        self.draw = random.Random(1)

    def sum(self, count: int) -> dict[str, object]:
        """Encrypt, write, read, add and decrypt `count` int64 of each party."""
        return self._summed([[self.draw.randrange(-(2**63), 2**63) for _ in range(count)] for _ in range(PARTIES)])

    def packed(self, count: int) -> dict[str, object]:
        """The same with `count` long plaintexts."""
        return self._summed([[self.draw.getrandbits(PACKED_BITS) for _ in range(count)] for _ in range(PARTIES)])

    def _summed(self, numbers: list[list[int]]) -> dict[str, object]:
        meter = Meter()
        sent = [self._written([self.public.encrypt(number) for number in own]) for own in numbers]
        meter.lap("encrypt")
        totals = self._read(sent[0])
        for each in sent[1:]:
            totals = [one + other for one, other in zip(totals, self._read(each), strict=True)]
        meter.lap("sum")
        opened = [self.private.decrypt(total) for total in totals]
        meter.lap("decrypt")
        assert opened == [sum(column) for column in zip(*numbers, strict=True)]
        return {**meter.found, "bytes": len(sent[0]) / len(numbers[0])}

    def _written(self, numbers: list[paillier.EncryptedNumber]) -> str:
        return json.dumps([[str(number.ciphertext()), number.exponent] for number in numbers])

    def _read(self, text: str) -> list[paillier.EncryptedNumber]:
        return [paillier.EncryptedNumber(self.public, int(digits), exponent) for digits, exponent in json.loads(text)]

    def encrypt(self, count: int) -> dict[str, object]:
        """Encrypt `count` integers, one by one."""
        meter = Meter()
        for number in range(count):
            self.public.encrypt(number)
        return meter.lap("encrypt").found

    def dot(self, count: int) -> dict[str, object]:
        """Return an encrypted dot product with weights of 32 bits."""
        plain = [self.draw.getrandbits(40) for _ in range(count)]
        weights = [self.draw.getrandbits(32) for _ in plain]
        given = [self.public.encrypt(number) for number in plain]
        meter = Meter()
        found = sum((number * weight for number, weight in zip(given, weights, strict=True)), start=0)
        meter.lap("dot")
        assert self.private.decrypt(found) == sum(map(int.__mul__, plain, weights))
        return meter.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, default=2048)
    peer = Peer(parser.parse_args().bits)
    for line in sys.stdin:
        task, count = line.split()
        print(json.dumps({"peer": "phe", "count": int(count), **getattr(peer, task)(int(count))}), flush=True)


if __name__ == "__main__":
    main()
