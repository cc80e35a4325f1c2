"""TLS for the servers that we run ourselves: from files, from a context, or made up for an afternoon.

It knows the forms that other servers take (a ``ssl.SSLContext``, Werkzeug's ``(cert, key)`` and ``"adhoc"``, uvicorn's
``ssl_certfile``), and what cannot work is one sentence instead of OpenSSL's words.
"""

from __future__ import annotations

import datetime
import os
import ssl
import tempfile
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from truesocket.errors import UsageError

__all__ = ["Files", "context_of", "take"]

#: What servers call these things -> what we call them.
_NAMES = {
    "certfile": "certfile",
    "ssl_certfile": "certfile",
    "keyfile": "keyfile",
    "ssl_keyfile": "keyfile",
    "password": "password",
    "keyfile_password": "password",
    "ssl_keyfile_password": "password",
    "ca_certs": "ca_certs",
    "ssl_ca_certs": "ca_certs",
    "cert_reqs": "cert_reqs",
    "ssl_cert_reqs": "cert_reqs",
    "ciphers": "ciphers",
    "ssl_ciphers": "ciphers",
}

#: OpenSSL's word -> what it means here.
_TROUBLES = {
    "KEY_VALUES_MISMATCH": "the key in {keyfile} does not belong to the certificate in {certfile}: give the pair that"
    " was made together",
    "KEY_TYPE_MISMATCH": "the key in {keyfile} does not belong to the certificate in {certfile}: give the pair that"
    " was made together",
    "BAD_DECRYPT": "the password of the key in {keyfile} is wrong: give the right one with keyfile_password=",
    "BAD_PASSWORD_READ": "the password of the key in {keyfile} is wrong: give the right one with keyfile_password=",
    "EE_KEY_TOO_SMALL": "the key in {keyfile} is too short for today's OpenSSL: make one of 2048 bits or more",
    "CA_MD_TOO_WEAK": "the certificate in {certfile} is signed in a way that today's OpenSSL no longer accepts",
}


@dataclass(frozen=True, slots=True)
class Files:
    """Where the certificate is, and what else was said about it."""

    certfile: str | None = None
    keyfile: str | None = None
    password: str | bytes | None = None
    ca_certs: str | None = None
    cert_reqs: int | None = None
    ciphers: str | None = None


def take(options: MutableMapping[str, Any]) -> Files:
    """Takes what is about certificates out of ``options``, by whichever name."""
    found: dict[str, Any] = {}
    for name in options.keys() & _NAMES.keys():
        value = options.pop(name)
        if value is None:
            continue
        if _NAMES[name] in found:
            raise UsageError(f"{_NAMES[name]}= is given twice, under two names: give it once")
        found[_NAMES[name]] = value
    for name in {"certfile", "keyfile", "ca_certs"} & found.keys():
        found[name] = os.fspath(found[name])
    return Files(**found)


def context_of(given: object, files: Files) -> ssl.SSLContext | None:
    """The context to serve with; ``None`` where nothing was said about TLS.

    ``given`` is a ``ssl.SSLContext``, ``(certfile, keyfile)``, ``"adhoc"`` or ``None``.  Raises
    :class:`~truesocket.errors.UsageError` where no server could be run with that.
    """
    if given is None:
        return _from_files(files)
    if files != Files():
        raise UsageError("give ssl_context= or certfile= and keyfile=, not both")
    if isinstance(given, ssl.SSLContext):
        return given
    if given == "adhoc":
        return _adhoc()
    if isinstance(given, tuple | list) and len(given) in (1, 2):
        certfile, keyfile = (*given, None)[:2]
        return _from_files(Files(os.fspath(certfile), None if keyfile is None else os.fspath(keyfile)))
    raise UsageError(
        f"ssl_context= takes an ssl.SSLContext, ('cert.pem', 'key.pem') or 'adhoc', not {type(given).__name__}"
    )


def _from_files(files: Files) -> ssl.SSLContext | None:
    if files.certfile is None:
        if files != Files():
            raise UsageError("certfile= is missing: TLS needs a certificate and its key, certfile= and keyfile=")
        return None
    for name in ("certfile", "keyfile", "ca_certs"):
        path = getattr(files, name)
        if path is not None:
            _check_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.certfile, files.keyfile, lambda: _password(files))
        if files.ca_certs is not None:
            context.load_verify_locations(files.ca_certs)
        if files.cert_reqs is not None:
            context.verify_mode = ssl.VerifyMode(files.cert_reqs)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(_trouble(files, error)) from None
    try:
        if files.ciphers is not None:
            context.set_ciphers(files.ciphers)
    except ssl.SSLError:
        raise UsageError(
            f"OpenSSL knows none of the ciphers {files.ciphers!r}: leave ciphers= away, the default is good"
        ) from None
    return context


def _check_readable(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except FileNotFoundError:
        text = f"there is no file {path} ({name}=), seen from {Path.cwd()}: give the path of the PEM file"
    except IsADirectoryError:
        text = f"{path} ({name}=) is a folder: give the path of the PEM file in it"
    except OSError as error:
        text = f"{path} ({name}=) cannot be read ({error.strerror}): run as a user who may read it"
    raise UsageError(text)


def _password(files: Files) -> str | bytes:
    """Asked for where the key is encrypted; OpenSSL would stop and wait for somebody at the terminal."""
    if files.password is None:
        raise UsageError(f"the key in {files.keyfile or files.certfile} is encrypted: give keyfile_password=")
    return files.password


def _trouble(files: Files, error: Exception) -> str:
    reason = getattr(error, "reason", None) or ""
    names = {"certfile": files.certfile, "keyfile": files.keyfile or files.certfile}
    if reason in _TROUBLES:
        return _TROUBLES[reason].format(**names)
    if files.password is not None and b"ENCRYPTED" in Path(names["keyfile"] or "").read_bytes():
        return _TROUBLES["BAD_DECRYPT"].format(**names)  # OpenSSL 3 does not always say that
    if files.keyfile is None:
        return (
            f"{files.certfile} holds no certificate with its key: give the key with keyfile=, or one file in PEM form"
            " with both (each begins with -----BEGIN)"
        )
    return (
        f"{files.certfile} and {files.keyfile} are not a certificate and its key: give certfile= and keyfile= in PEM"
        " form (it begins with -----BEGIN)"
    )


def _adhoc() -> ssl.SSLContext:
    """A certificate that nobody has signed, for localhost; browsers warn of it, and that is right."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise UsageError(
            "ssl_context='adhoc' makes a certificate with the package cryptography: pip install cryptography,"
            " or give certfile= and keyfile="
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="truesocket-") as folder:  # only this user may read in it
        path = Path(folder, "adhoc.pem")
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context
