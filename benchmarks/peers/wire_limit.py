"""The least that a round of federated averaging can cost here: grpcio with mutual TLS, and nothing else.

One server and n client processes on loopback. In a round every client fetches the model as a stream of pieces of 1 MiB
into a buffer of its own, adds a thousandth, and streams it back; the server adds each piece as it comes. No signature,
no protocol, nothing on disk; the average is checked at the end. Rounds are what passes between two meetings of all.

    python benchmarks/peers/wire_limit.py --parties 3 --dim 1000000 --rounds 12
"""

from __future__ import annotations

import argparse
import datetime as dt
import ipaddress
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import gaps, middle, peak_mb

PIECE = 1 << 20  # bytes; the fastest of 64 KiB to 4 MiB here
STEP = np.float32(1e-3)  # what "training" adds
WARM = 2  # rounds that do not count
AUTHORITY, SERVER, CLIENT = "authority", "server", "client"


def raw(data: bytes) -> bytes:
    """Neither write nor read protobuf."""
    return data


# --- mutual TLS ------------------------------------------------------------------------------------------------------


def certified(folder: Path) -> None:
    """Write an authority, and a key and certificate of each end under it, good for a day."""
    authority, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    for name in (AUTHORITY, SERVER, CLIENT):
        key = authority if name == AUTHORITY else ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == AUTHORITY, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .sign(authority, hashes.SHA256())
        )
        written = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(written)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def read(folder: Path, *names: str) -> list[bytes]:
    """Return the contents of files."""
    return [(folder / name).read_bytes() for name in names]


# --- the server ------------------------------------------------------------------------------------------------------


class Average:
    """The model, the sum of what came, and when all met."""

    def __init__(self, parties: int, dim: int, rounds: int) -> None:
        self.model, self._sum = np.zeros(dim, np.float32), np.zeros(dim, np.float32)
        self.stamps: list[float] = []
        self.ended = threading.Event()
        self._parties, self._rounds = parties, rounds
        self._locks = [threading.Lock() for _ in range(dim * 4 // PIECE + 1)]
        self._meeting = threading.Barrier(parties, action=self._met)

    def _met(self) -> None:
        if self.stamps:
            np.multiply(self._sum, np.float32(1 / self._parties), out=self.model)
            self._sum[:] = 0
        self.stamps.append(time.perf_counter())
        if len(self.stamps) > self._rounds:
            self.ended.set()

    def meet(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        self._meeting.wait()
        return b""

    def fetch(self, _request: bytes, _context: grpc.ServicerContext) -> Iterator[bytes]:
        return pieces(self.model)

    def add(self, stream: Iterable[bytes], _context: grpc.ServicerContext) -> bytes:
        at = 0
        for piece in stream:
            with self._locks[at // PIECE]:
                into = self._sum[at // 4 : (at + len(piece)) // 4]
                np.add(into, np.frombuffer(piece, np.float32), out=into)
            at += len(piece)
        return b""


def pieces(vector: np.ndarray) -> Iterator[bytes]:
    """Yield the bytes of a vector, PIECE at a time."""
    view = memoryview(vector).cast("B")
    for start in range(0, len(view), PIECE):
        yield bytes(view[start : start + PIECE])


def served(folder: Path, parties: int, dim: int, rounds: int) -> dict[str, Any]:
    """Serve so many rounds to as many client processes and return what they took."""
    certified(folder)
    average = Average(parties, dim, rounds)
    methods = {
        "meet": grpc.unary_unary_rpc_method_handler(average.meet, raw, raw),
        "fetch": grpc.unary_stream_rpc_method_handler(average.fetch, raw, raw),
        "add": grpc.stream_unary_rpc_method_handler(average.add, raw, raw),
    }
    server = grpc.server(ThreadPoolExecutor(2 * parties + 2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("limit.Limit", methods),))
    key, certificate, authority = read(folder, f"{SERVER}.key", f"{SERVER}.pem", f"{AUTHORITY}.pem")
    port = server.add_secure_port(
        "127.0.0.1:0",
        grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True),
    )
    server.start()
    asked = ["--dim", str(dim), "--rounds", str(rounds), "--folder", str(folder), "--join", f"localhost:{port}"]
    clients = [subprocess.Popen([sys.executable, __file__, *asked]) for _ in range(parties)]
    try:
        while not average.ended.wait(0.2):
            if any(client.poll() for client in clients):
                raise SystemExit("a client of the wire limit ended early")
        client_mb = max(peak_mb(client.pid) for client in clients)
    finally:
        for client in clients:
            client.terminate()
            client.wait()
        server.stop(0)
    if abs(float(average.model[-1]) - rounds * float(STEP)) > 1e-4:
        raise SystemExit("the limit's average is wrong")
    spent = gaps(average.stamps)[WARM:]
    return {"round_s": spent, "median_s": middle(spent), "coordinator_mb": peak_mb(os.getpid()), "party_mb": client_mb}


# --- a client --------------------------------------------------------------------------------------------------------


def joined(folder: Path, address: str, dim: int, rounds: int) -> None:
    """Be a client until somebody ends this process."""
    key, certificate, authority = read(folder, f"{CLIENT}.key", f"{CLIENT}.pem", f"{AUTHORITY}.pem")
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(authority, key, certificate))
    meet = channel.unary_unary("/limit.Limit/meet", raw, raw)
    fetch = channel.unary_stream("/limit.Limit/fetch", raw, raw)
    add = channel.stream_unary("/limit.Limit/add", raw, raw)
    model = np.empty(dim, np.float32)
    view = memoryview(model).cast("B")
    meet(b"", wait_for_ready=True)
    for _ in range(rounds):
        at = 0
        for piece in fetch(b""):
            view[at : at + len(piece)] = piece
            at += len(piece)
        model += STEP
        add(pieces(model))
        meet(b"")
    threading.Event().wait()  # until our memory was read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--dim", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--join", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.join:
        joined(asked.folder, asked.join, asked.dim, asked.rounds)
        return
    with tempfile.TemporaryDirectory() as scratch:
        found = served(Path(scratch), asked.parties, asked.dim, asked.rounds + WARM)
    print(json.dumps({"peer": "limit", "dim": asked.dim, "parties": asked.parties, **found}))


if __name__ == "__main__":
    main()
