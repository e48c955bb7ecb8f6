"""TLS contexts for clients, from PEM files that settings name; new connections take the files as they are then."""

import ssl
from pathlib import Path
from typing import Any, NamedTuple

from farshore.errors import ConfigurationError
from farshore.reread import Reread

OTHER_NAME = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_EXPIRED, _NOT_YET = OUT_OF_TIME = (10, 9)
_UNKNOWN_CA = (2, 18, 19, 20, 21)


class FileSetting(NamedTuple):
    """A file, and what the setting that names it is called: errors have to say it."""

    setting: str
    path: str


def client_context(
    ca: FileSetting | None, certificate: FileSetting | None = None, key: FileSetting | None = None
) -> ssl.SSLContext:
    """A context that checks the server's name and certificate; without `ca` the system's CAs count.

    With `certificate` and `key`, which need one another, the client shows who it is. Raises ConfigurationError where a
    file can't be used. A file that is exchanged later holds for connections from then on.
    """

    def make() -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=_text(ca, "CERTIFICATE") if ca else None)
        if certificate and key:
            _show(context, certificate, key)
        return context

    files = [Path(file.path) for file in (ca, certificate, key) if file]
    context = _FromFiles(ssl.PROTOCOL_TLS_CLIENT)
    context.current = Reread(files, make)
    return context


class _FromFiles(ssl.SSLContext):
    """Has each new connection made by another context. A context itself can be given further CAs, but not fewer."""

    current: Reread[ssl.SSLContext]

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.current().wrap_bio(*args, **options)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self.current().wrap_socket(*args, **options)


def _show(context: ssl.SSLContext, certificate: FileSetting, key: FileSetting) -> None:
    _text(certificate, "CERTIFICATE")
    if "ENCRYPTED" in _text(key, "PRIVATE KEY"):
        raise _wrong(key, "the key is encrypted", "write it without a passphrase, readable for this user only")
    try:
        context.load_cert_chain(certificate.path, key.path, password="")  # never ask the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise _wrong(key, f"it is not the key of {certificate.path}", f"see {certificate.setting} too") from error
        raise _wrong(certificate, f"OpenSSL can't use it ({error.reason})", f"see {key.setting} too") from error


def _text(file: FileSetting, holds: str) -> str:
    try:
        text = Path(file.path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not text"
        raise _wrong(file, reason, "name a file that this user can read") from error
    if f"{holds}-----" not in text:
        raise _wrong(file, f"there is no PEM {holds.lower()} in it", "write it in PEM form")
    try:
        if holds == "CERTIFICATE":
            ssl.create_default_context(cadata=text)
    except ssl.SSLError as error:
        raise _wrong(file, f"OpenSSL can't read it ({error.reason})", "write it in PEM form") from error
    return text


def _wrong(file: FileSetting, reason: str, hint: str) -> ConfigurationError:
    return ConfigurationError("read", f"{file.path} of {file.setting}", reason, hint=hint)


def why_not_trusted(error: Exception) -> str:
    """The reason for which a server's certificate isn't accepted."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not accepted"
    match error.verify_code:
        case code if code == _EXPIRED:
            return "the server's certificate, or its CA's, has expired"
        case code if code == _NOT_YET:
            return "the server's certificate, or its CA's, is not valid yet"
        case code if code in OTHER_NAME:
            return "the server's certificate is for another host"
        case code if code in _UNKNOWN_CA:
            return "the server's certificate is of no CA that is known here"
        case _:
            return f"the server's certificate is not accepted: {error.verify_message}"


def what_helps(error: Exception, ca_file: str) -> str:
    """What to do when a server's certificate isn't accepted; `ca_file` is what the setting of its CA is called."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else None
    if code in OUT_OF_TIME:
        return "renew it, or correct this host's clock"
    if code in OTHER_NAME:
        return "write the url as the certificate names the host"
    return f"set {ca_file} to the PEM file of the CA that signed it"
