"""What the encrypted transports prove themselves with, made anew for each run.

The receiver, which is started first, writes it into a folder that nobody else may read, and the sender reads it there. The folder
goes with the run.
"""

import datetime
import ipaddress
from pathlib import Path

ONE_DAY = datetime.timedelta(days=1)


def make_certificates(folder: Path, host: str) -> None:
    """A certificate authority of its own, `authority.pem`, and the receiver's `receiver.pem` and `receiver.key`, for the address `host`."""
    # The other transports do without this package.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(authority))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - ONE_DAY).not_valid_after(now + ONE_DAY)

    authority = "framewire peers"
    authority_key, receiver_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    signing = x509.KeyUsage(*(what in ("key_cert_sign", "crl_sign") for what in KEY_USAGES))
    authority_certificate = certificate(authority, authority_key).add_extension(x509.BasicConstraints(True, 0), critical=True)
    authority_certificate = authority_certificate.add_extension(signing, critical=True).sign(authority_key, hashes.SHA256())
    receiver = certificate("receiver", receiver_key).add_extension(x509.BasicConstraints(False, None), critical=True)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    receiver = receiver.add_extension(address, critical=False)
    usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    receiver = receiver.add_extension(usage, critical=False).sign(authority_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    private = receiver_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for file, data in (
        ("authority.pem", authority_certificate.public_bytes(pem)),
        ("receiver.pem", receiver.public_bytes(pem)),
        ("receiver.key", private),
    ):
        (folder / file).write_bytes(data)


KEY_USAGES = [
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
    "encipher_only", "decipher_only",
]
"""In the order of `KeyUsage`'s arguments."""


def make_curve_keys(folder: Path) -> tuple[bytes, bytes, bytes]:
    """CurveZMQ's keys: the receiver's public and secret one, and the sender's public one, whose secret one is in the folder."""
    import zmq

    receiver_public, receiver_secret = zmq.curve_keypair()
    sender_public, sender_secret = zmq.curve_keypair()
    (folder / "curve").write_bytes(b"\n".join((receiver_public, sender_public, sender_secret)))
    return receiver_public, receiver_secret, sender_public


def curve_keys_of_sender(folder: Path) -> tuple[bytes, bytes, bytes]:
    """The receiver's public key, and the sender's public and secret one."""
    receiver_public, sender_public, sender_secret = (folder / "curve").read_bytes().split(b"\n")
    return receiver_public, sender_public, sender_secret
