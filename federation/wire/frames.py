"""Envelopes and frames as bytes: what every message travels in; the signature is judged in `envelope`."""

from __future__ import annotations

from federation.crypto.ring import Chunk
from federation.wire import messages as m
from federation.wire.fields import HASH_BYTES, LONGEST_NAME, Malformed, canonical, exactly, name, parsed, text
from federation.wire.v1 import signed_pb2


def signed_to(value: m.Signed) -> signed_pb2.Signed:
    """Return the protobuf envelope."""
    return signed_pb2.Signed(body=value.body, key_id=value.key_id, signature=value.signature, domain=value.domain)


def signed_from(message: signed_pb2.Signed) -> m.Signed:
    """Return the envelope's value; the signature is not checked here but in `envelope.attested`."""
    return m.Signed(message.body, message.key_id, message.signature, text(message.domain, "a domain tag", LONGEST_NAME))


def frame_to(value: m.Frame, *, blob: bytes = b"") -> signed_pb2.Frame:
    """Return the frame's message: with its parts, or with the id of the stream that they travel on."""
    frame = signed_pb2.Frame(
        signed=signed_to(value.signed),
        job_hash=value.job_hash,
        round_index=value.round_index,
        attempt=value.attempt,
        to=value.to,
    )
    if blob:
        frame.blob, frame.blob_bytes = blob, sum(len(part) for part in value.parts)
    else:
        frame.parts.extend(map(bytes, value.parts))
    return frame


def frame_from(message: signed_pb2.Frame, parts: tuple[Chunk, ...] | None = None) -> m.Frame:
    """Return the frame's value; `parts` are what arrived on a stream, if they did, and stay as they are.

    Raises:
        Malformed: it is none.
    """
    if not message.HasField("signed"):
        raise Malformed("a frame without a message")
    if message.job_hash:
        exactly(message.job_hash, HASH_BYTES, "a job hash")
    return m.Frame(
        signed_from(message.signed),
        tuple(message.parts) if parts is None else parts,
        message.job_hash,
        message.round_index,
        message.attempt,
        name(message.to, "a recipient") if message.to else "",
    )


def frame_bytes(value: m.Frame) -> bytes:
    """Return the frame as bytes, for a log."""
    return canonical(frame_to(value))


def frame_of(data: bytes) -> m.Frame:
    """Return the frame that `frame_bytes` wrote. Raises Malformed."""
    return frame_from(parsed(signed_pb2.Frame, data))


def signed_bytes(value: m.Signed) -> bytes:
    """Return the envelope as bytes, for a log."""
    return canonical(signed_to(value))


def signed_of(data: bytes) -> m.Signed:
    """Return the envelope that `signed_bytes` wrote. Raises Malformed."""
    return signed_from(parsed(signed_pb2.Signed, data))
