"""Keeps TLS below 1.3 out of gRPC, which has no setting for it; imports no gRPC itself.

Our certificates are ECDSA. If the only suite that is offered for TLS 1.2 needs an RSA certificate, no handshake of
TLS 1.2 or older can end well, while the suites of TLS 1.3 are not concerned. gRPC reads that list once, when it is
loaded, from the environment, so this must run first; `restricted` says whether it did (docs/adr/0003-tls-pinning.md).
"""

from __future__ import annotations

import os
import sys

VARIABLE = "GRPC_SSL_CIPHER_SUITES"
RSA_ONLY = "ECDHE-RSA-AES256-GCM-SHA384"


def restricted() -> bool:
    """Restrict TLS 1.2 to `RSA_ONLY` if gRPC is not loaded yet; return whether the restriction is in force.

    Other gRPC clients in this process still reach servers of TLS 1.2 that have an RSA certificate.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines on stderr say what our errors say better
    if "grpc" not in sys.modules:
        os.environ[VARIABLE] = RSA_ONLY
    return os.environ.get(VARIABLE) == RSA_ONLY
