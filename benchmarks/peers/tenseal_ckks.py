"""TenSEAL's CKKS as a peer, with the parameters of NVFlare's project files: what one client does to a vector.

Every line on standard input is answered with one JSON line. `client_ms` is what a client does up to its last message,
encrypt and serialise; parsing and decrypting what comes back is told apart. Runs in the environment of `make peers`:

    echo | .peers/bin/python benchmarks/peers/tenseal_ckks.py --dim 1000000
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time

import numpy as np
import tenseal

DEGREE, MODULI, SCALE = 8192, [60, 40, 40], 2**40  # NVFlare's


def measured(context: tenseal.Context, vector: np.ndarray) -> dict[str, object]:
    """Return the times of one client and of adding its ciphertext, in milliseconds, and the bytes."""
    at, began_cpu = [time.perf_counter()], time.process_time()

    def lap() -> None:
        at.append(time.perf_counter())

    encrypted = tenseal.ckks_vector(context, vector)
    lap()
    body = encrypted.serialize()
    lap()
    used = time.process_time() - began_cpu
    parsed = tenseal.ckks_vector_from(context, body)
    lap()
    total = encrypted + parsed
    lap()
    plain = total.decrypt()
    lap()
    encrypt, serialise, parse, add, decrypt = ((after - before) * 1000 for before, after in itertools.pairwise(at))
    return {
        "peer": "tenseal",
        "dim": len(vector),
        "client_ms": encrypt + serialise,
        "client_cpu_ms": used * 1000,
        "download_ms": parse + decrypt,
        "stage_ms": {"encrypt": encrypt, "serialise": serialise, "parse": parse, "add": add, "decrypt": decrypt},
        "up_bytes": len(body),
        "largest_error": float(np.max(np.abs(np.array(plain) - 2 * vector))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=1_000_000)
    asked = parser.parse_args()
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=DEGREE, coeff_mod_bit_sizes=MODULI)
    context.global_scale = SCALE
    vector = np.random.default_rng(0).standard_normal(asked.dim) * 0.1
    for _ in sys.stdin:
        print(json.dumps(measured(context, vector)), flush=True)


if __name__ == "__main__":
    main()
