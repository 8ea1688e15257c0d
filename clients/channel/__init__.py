"""The line to the coordinator: the one room that every client shares.

connect: TLS 1.3 with pinned keys, identity, retries, deadlines · streams: vectors in chunks, written in place
Jurisdictions only dial out and nothing polls. Refuses plaintext, older TLS, a certificate that is not the pinned one,
and messages whose signature is not the named member's.
"""

from federation.identity.tls import restricted

restricted()  # before anything here loads gRPC: no handshake below TLS 1.3
