from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KeyProposal(_message.Message):
    __slots__ = ("proposer", "holders", "bits", "made_ms", "deadline_ms", "roster_hash", "token")
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    MADE_MS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    ROSTER_HASH_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    proposer: str
    holders: _containers.RepeatedScalarFieldContainer[str]
    bits: int
    made_ms: int
    deadline_ms: int
    roster_hash: bytes
    token: bytes
    def __init__(self, proposer: _Optional[str] = ..., holders: _Optional[_Iterable[str]] = ..., bits: _Optional[int] = ..., made_ms: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., roster_hash: _Optional[bytes] = ..., token: _Optional[bytes] = ...) -> None: ...

class KeyJoin(_message.Message):
    __slots__ = ("party", "ceremony", "box_key")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    BOX_KEY_FIELD_NUMBER: _ClassVar[int]
    party: str
    ceremony: bytes
    box_key: bytes
    def __init__(self, party: _Optional[str] = ..., ceremony: _Optional[bytes] = ..., box_key: _Optional[bytes] = ...) -> None: ...

class KeyWord(_message.Message):
    __slots__ = ("party", "ceremony", "place", "what", "seen", "boxes", "body")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    party: str
    ceremony: bytes
    place: int
    what: str
    seen: bytes
    boxes: _containers.RepeatedScalarFieldContainer[bytes]
    body: bytes
    def __init__(self, party: _Optional[str] = ..., ceremony: _Optional[bytes] = ..., place: _Optional[int] = ..., what: _Optional[str] = ..., seen: _Optional[bytes] = ..., boxes: _Optional[_Iterable[bytes]] = ..., body: _Optional[bytes] = ...) -> None: ...

class KeyAsk(_message.Message):
    __slots__ = ("party", "ceremony", "place", "answers")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    CEREMONY_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    party: str
    ceremony: bytes
    place: int
    answers: bool
    def __init__(self, party: _Optional[str] = ..., ceremony: _Optional[bytes] = ..., place: _Optional[int] = ..., answers: bool = ...) -> None: ...

class KeyCertificate(_message.Message):
    __slots__ = ("joint_key", "transcript", "made_ms", "expires_ms")
    JOINT_KEY_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    MADE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    joint_key: bytes
    transcript: bytes
    made_ms: int
    expires_ms: int
    def __init__(self, joint_key: _Optional[bytes] = ..., transcript: _Optional[bytes] = ..., made_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class KeyNews(_message.Message):
    __slots__ = ("proposal", "joins", "certificates")
    PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    JOINS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    proposal: _signed_pb2.Signed
    joins: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    certificates: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    def __init__(self, proposal: _Optional[_Union[_signed_pb2.Signed, _Mapping]] = ..., joins: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ..., certificates: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ...) -> None: ...
