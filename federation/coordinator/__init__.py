"""The relay that is trusted with nothing but availability: the only room with a server.

app: starts and stops it · config: its one TOML file · services: thin servicers over `driver` · access: who may
driver: routes frames to jobs, stores before it sends · run: one job · evidence: what it left · store: what lasts
blobs: bulk bytes between stream and frame · spool, bulk_files: where what is long rests while it is used
Sees masked vectors and opened sums, never a party's own; an RPC without a row in the table of roles is denied.
"""

from federation.identity.tls import restricted

restricted()  # before anything here loads gRPC: no handshake below TLS 1.3
