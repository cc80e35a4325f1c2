"""Certificates for tests, made on the spot: nobody else has signed them, and they live for a day."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.servers import HOST

PASSWORD = "open sesame"


@dataclass(frozen=True)
class Pair:
    """A certificate for 127.0.0.1 and its key; `encrypted` is that key under `PASSWORD`, `both` one file of both."""

    cert: Path
    key: Path
    encrypted: Path
    both: Path

    @property
    def trusting(self) -> ssl.SSLContext:
        """What a client needs that believes this certificate and no other."""
        return ssl.create_default_context(cafile=str(self.cert))


def make_pair(folder: Path) -> Pair:
    """Write a new pair into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = Pair(folder / "cert.pem", folder / "key.pem", folder / "encrypted.pem", folder / "both.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(PASSWORD.encode())
    pair.cert.write_bytes(certificate.public_bytes(pem))
    pair.key.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    pair.encrypted.write_bytes(key.private_bytes(pem, form, locked))
    pair.both.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    return pair
