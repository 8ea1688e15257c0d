from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_SUBMITTED: _ClassVar[State]
    STATE_UNDER_REVIEW: _ClassVar[State]
    STATE_RUNNING: _ClassVar[State]
    STATE_RELEASED: _ClassVar[State]
    STATE_REFUSED: _ClassVar[State]
    STATE_ABORTED: _ClassVar[State]
STATE_UNSPECIFIED: State
STATE_SUBMITTED: State
STATE_UNDER_REVIEW: State
STATE_RUNNING: State
STATE_RELEASED: State
STATE_REFUSED: State
STATE_ABORTED: State

class Value(_message.Message):
    __slots__ = ("integer", "real", "text", "flag", "items")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    integer: int
    real: float
    text: str
    flag: bool
    items: Values
    def __init__(self, integer: _Optional[int] = ..., real: _Optional[float] = ..., text: _Optional[str] = ..., flag: bool = ..., items: _Optional[_Union[Values, _Mapping]] = ...) -> None: ...

class Values(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, items: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: Value
    def __init__(self, name: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class Computation(_message.Message):
    __slots__ = ("name", "version", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ...) -> None: ...

class PublicationPin(_message.Message):
    __slots__ = ("party", "digest")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    party: str
    digest: bytes
    def __init__(self, party: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("name", "researcher", "project", "purpose", "dataset", "where", "computations", "protection", "parties", "publications", "minimum_parties", "deadline_ms", "max_rounds", "roster_hash", "token", "key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RESEARCHER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    COMPUTATIONS_FIELD_NUMBER: _ClassVar[int]
    PROTECTION_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_PARTIES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROUNDS_FIELD_NUMBER: _ClassVar[int]
    ROSTER_HASH_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    researcher: str
    project: str
    purpose: str
    dataset: str
    where: str
    computations: _containers.RepeatedCompositeFieldContainer[Computation]
    protection: str
    parties: _containers.RepeatedScalarFieldContainer[str]
    publications: _containers.RepeatedCompositeFieldContainer[PublicationPin]
    minimum_parties: int
    deadline_ms: int
    max_rounds: int
    roster_hash: bytes
    token: bytes
    key: bytes
    def __init__(self, name: _Optional[str] = ..., researcher: _Optional[str] = ..., project: _Optional[str] = ..., purpose: _Optional[str] = ..., dataset: _Optional[str] = ..., where: _Optional[str] = ..., computations: _Optional[_Iterable[_Union[Computation, _Mapping]]] = ..., protection: _Optional[str] = ..., parties: _Optional[_Iterable[str]] = ..., publications: _Optional[_Iterable[_Union[PublicationPin, _Mapping]]] = ..., minimum_parties: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., max_rounds: _Optional[int] = ..., roster_hash: _Optional[bytes] = ..., token: _Optional[bytes] = ..., key: _Optional[bytes] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("rule", "clause", "remedy")
    RULE_FIELD_NUMBER: _ClassVar[int]
    CLAUSE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    rule: str
    clause: str
    remedy: str
    def __init__(self, rule: _Optional[str] = ..., clause: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("party", "job_hash", "reasons")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    party: str
    job_hash: bytes
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, party: _Optional[str] = ..., job_hash: _Optional[bytes] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("job", "publications")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    job: _signed_pb2.Signed
    publications: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    def __init__(self, job: _Optional[_Union[_signed_pb2.Signed, _Mapping]] = ..., publications: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("party", "job_hash", "transcript")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    party: str
    job_hash: bytes
    transcript: bytes
    def __init__(self, party: _Optional[str] = ..., job_hash: _Optional[bytes] = ..., transcript: _Optional[bytes] = ...) -> None: ...

class Objection(_message.Message):
    __slots__ = ("party", "job_hash", "accused", "code", "message", "hint", "rule")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    ACCUSED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    party: str
    job_hash: bytes
    accused: str
    code: str
    message: str
    hint: str
    rule: str
    def __init__(self, party: _Optional[str] = ..., job_hash: _Optional[bytes] = ..., accused: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class Blame(_message.Message):
    __slots__ = ("party", "code", "message", "hint", "rule")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    party: str
    code: str
    message: str
    hint: str
    rule: str
    def __init__(self, party: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., hint: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("job_hash", "state", "blames", "rounds")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BLAMES_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    state: State
    blames: _containers.RepeatedCompositeFieldContainer[Blame]
    rounds: int
    def __init__(self, job_hash: _Optional[bytes] = ..., state: _Optional[_Union[State, str]] = ..., blames: _Optional[_Iterable[_Union[Blame, _Mapping]]] = ..., rounds: _Optional[int] = ...) -> None: ...
