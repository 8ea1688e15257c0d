"""Self-made P-256 leaf certificates: what TLS shows, pinned byte for byte by the roster.

There is no authority: a certificate signs itself, says that it may sign nothing else, and names one host,
`<member>.federation.internal`, which exists nowhere and is only compared. It does not expire, because clocks decide
nothing here: a certificate counts while a roster in force contains it (docs/adr/0003-tls-pinning.md).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from federation.errors import Misuse, Refused

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
LARGEST_BYTES = 4096
_BEGINS = datetime(2020, 1, 1, tzinfo=UTC)
_NEVER_ENDS = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280, 4.1.2.5: no well-defined expiration


def checked_name(name: str) -> str:
    """Return `name` if a member may be called so: `[a-z][a-z0-9-]{0,62}`. Raises Misuse."""
    if not NAME.fullmatch(name):
        raise Misuse(
            f"{name[:80]!r} cannot be a member's name",
            hint="use 1 to 63 lower-case letters, digits and hyphens, a letter first",
        )
    return name


def host_of(name: str) -> str:
    """Return the host name in the certificate of the member called `name`."""
    return f"{checked_name(name)}.federation.internal"


def self_made(name: str) -> tuple[bytes, bytes]:
    """Return a new (private key as PKCS #8 PEM, certificate as DER) for the member called `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _made_out(name, key.public_key(), x509.random_serial_number(), key)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.DER)


def _made_out(
    name: str, key: ec.EllipticCurvePublicKey, serial: int, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Return the one certificate that there is for this name, key and serial number, signed by `signer`."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, checked_name(name))])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(_BEGINS)
        .not_valid_after(_NEVER_ENDS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_of(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(signer, hashes.SHA256())
    )


def check(name: str, certificate: bytes) -> None:
    """Check that `certificate` (DER) is one that `self_made(name)` could have made.

    Raises:
        Refused: rule "certificate", naming the member and what is wrong.
    """
    try:
        fault = _fault(name, certificate)
    except Exception:  # noqa: BLE001 (foreign bytes: the parser is lazy, and its errors have no common type)
        fault = "cannot be read"
    if fault:
        raise Refused(
            f"the certificate of {name} {fault}",
            rule="certificate",
            hint="the member makes new keys with `federation roster join`",
            party=name,
        )


def _fault(name: str, certificate: bytes) -> str:
    """Return what is wrong with the certificate, or "".

    It has to be, bit for bit, the one that `self_made` would make for this name, key and serial number. TLS libraries
    differ in what they read: a certificate that ours reads and gRPC's does not would cut the coordinator's list of
    roots short, and shut out the members behind it.
    """
    if len(certificate) > LARGEST_BYTES:
        return f"has more than {LARGEST_BYTES} bytes"
    parsed = x509.load_der_x509_certificate(certificate)
    key = parsed.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return "has no P-256 key"
    hosts = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if list(hosts) != [x509.DNSName(host_of(name))]:
        return f"is not made out to {host_of(name)} alone"
    ours = _made_out(name, key, parsed.serial_number, ec.generate_private_key(ec.SECP256R1()))
    body, signature = ours.tbs_certificate_bytes, parsed.signature
    if certificate != _sequence(
        body + _ECDSA_WITH_SHA256 + b"\x03" + _length(len(signature) + 1) + b"\x00" + signature
    ):
        return "is not one that `federation roster join` makes"
    try:
        key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "is not signed by its own key"
    return ""


_ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content


def _length(size: int) -> bytes:
    """Return a DER length: one byte below 128, else the number of bytes and the shortest big-endian form."""
    if size < 128:
        return bytes([size])
    content = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(content)]) + content


def belongs(private: bytes, certificate: bytes) -> bool:
    """True when the private key (PEM) is the one of the certificate (DER)."""
    try:
        key = serialization.load_pem_private_key(private, password=None)
        return key.public_key() == x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, TypeError):
        return False


def public_key(certificate: bytes) -> bytes:
    """Return the certificate's public key as DER; two certificates over one key have equal ones."""
    return (
        x509.load_der_x509_certificate(certificate)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def pem(certificate: bytes) -> bytes:
    """Return the certificate (DER) as PEM."""
    return x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
