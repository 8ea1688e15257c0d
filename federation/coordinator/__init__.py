"""The relay that is trusted with nothing but availability: the only room with a server.

app: starts and stops it · config: its one TOML file · services: thin servicers, convert in, command, convert out
commands: what a request does · driver: runs the effects of the machines · store: the event log, durable before sent
Sees masked vectors and opened sums, never a party's own; an RPC without a row in the table of roles is denied.
"""

from federation.identity.tls import restricted

restricted()  # before anything here loads gRPC: no handshake below TLS 1.3
