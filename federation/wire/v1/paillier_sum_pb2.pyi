from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Ready(_message.Message):
    __slots__ = ("party", "setup_hash")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ...) -> None: ...

class Cipher(_message.Message):
    __slots__ = ("party", "spec_hash", "header", "chunk_root", "number", "proof")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROOT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    header: bytes
    chunk_root: bytes
    number: int
    proof: bytes
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., header: _Optional[bytes] = ..., chunk_root: _Optional[bytes] = ..., number: _Optional[int] = ..., proof: _Optional[bytes] = ...) -> None: ...

class Partial(_message.Message):
    __slots__ = ("party", "spec_hash", "set_hash", "chunk_root", "proof")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    SET_HASH_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROOT_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    set_hash: bytes
    chunk_root: bytes
    proof: bytes
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., set_hash: _Optional[bytes] = ..., chunk_root: _Optional[bytes] = ..., proof: _Optional[bytes] = ...) -> None: ...
