from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Advert(_message.Message):
    __slots__ = ("party", "setup_hash", "mask_pk", "enc_pk")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    MASK_PK_FIELD_NUMBER: _ClassVar[int]
    ENC_PK_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    mask_pk: bytes
    enc_pk: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ..., mask_pk: _Optional[bytes] = ..., enc_pk: _Optional[bytes] = ...) -> None: ...

class Shares(_message.Message):
    __slots__ = ("party", "setup_hash", "adverts_hash", "commitment", "boxes_root")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    ADVERTS_HASH_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    BOXES_ROOT_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    adverts_hash: bytes
    commitment: bytes
    boxes_root: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ..., adverts_hash: _Optional[bytes] = ..., commitment: _Optional[bytes] = ..., boxes_root: _Optional[bytes] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("party", "spec_hash", "u2_hash", "chunk_root", "length", "number")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U2_HASH_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROOT_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    u2_hash: bytes
    chunk_root: bytes
    length: int
    number: int
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., u2_hash: _Optional[bytes] = ..., chunk_root: _Optional[bytes] = ..., length: _Optional[int] = ..., number: _Optional[int] = ...) -> None: ...

class Consent(_message.Message):
    __slots__ = ("party", "spec_hash", "u3_hash")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U3_HASH_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    u3_hash: bytes
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., u3_hash: _Optional[bytes] = ...) -> None: ...

class Unmask(_message.Message):
    __slots__ = ("party", "spec_hash", "u3_hash", "self_shares", "key_shares")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U3_HASH_FIELD_NUMBER: _ClassVar[int]
    SELF_SHARES_FIELD_NUMBER: _ClassVar[int]
    KEY_SHARES_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    u3_hash: bytes
    self_shares: _containers.RepeatedScalarFieldContainer[bytes]
    key_shares: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., u3_hash: _Optional[bytes] = ..., self_shares: _Optional[_Iterable[bytes]] = ..., key_shares: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Opening(_message.Message):
    __slots__ = ("spec_hash", "u3_hash", "seeds", "keys", "total_root")
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U3_HASH_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ROOT_FIELD_NUMBER: _ClassVar[int]
    spec_hash: bytes
    u3_hash: bytes
    seeds: _containers.RepeatedScalarFieldContainer[bytes]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    total_root: bytes
    def __init__(self, spec_hash: _Optional[bytes] = ..., u3_hash: _Optional[bytes] = ..., seeds: _Optional[_Iterable[bytes]] = ..., keys: _Optional[_Iterable[bytes]] = ..., total_root: _Optional[bytes] = ...) -> None: ...

class Challenge(_message.Message):
    __slots__ = ("party", "spec_hash", "u3_hash", "places")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U3_HASH_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    u3_hash: bytes
    places: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., u3_hash: _Optional[bytes] = ..., places: _Optional[_Iterable[int]] = ...) -> None: ...

class Withdrawal(_message.Message):
    __slots__ = ("party", "setup_hash")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ...) -> None: ...

class Recall(_message.Message):
    __slots__ = ("job_hash", "round_index", "attempt")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    round_index: int
    attempt: int
    def __init__(self, job_hash: _Optional[bytes] = ..., round_index: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("job_hash", "round_index", "round_digest", "total_digest", "messages", "chunk_counts", "attempt")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    ROUND_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    round_index: int
    round_digest: bytes
    total_digest: bytes
    messages: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    chunk_counts: _containers.RepeatedScalarFieldContainer[int]
    attempt: int
    def __init__(self, job_hash: _Optional[bytes] = ..., round_index: _Optional[int] = ..., round_digest: _Optional[bytes] = ..., total_digest: _Optional[bytes] = ..., messages: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ..., chunk_counts: _Optional[_Iterable[int]] = ..., attempt: _Optional[int] = ...) -> None: ...
