"""Certificates for the tests: CAs of their own, and files as programs want them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: the certificate with those between it and its CA, its key, and both in one."""

    certificate: Path
    key: Path
    together: Path


class Authority:
    """A CA whose certificate is the file `ca_file`; what it issues lies beside it."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self._ca = trustme.CA(organization_name=f"farshore's tests, {name}")
        self.ca_file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, name: str, *hosts: str, expired: bool = False) -> Certificate:
        """A certificate for `hosts`, else for 127.0.0.1 as the address and, for nginx, as a name."""
        end = datetime.now(UTC) - timedelta(days=1) if expired else None
        issued = self._ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")), common_name=name, not_after=end)
        place = self._folder / f"{self._name}-{name}"
        found = Certificate(place.with_suffix(".crt"), place.with_suffix(".key"), place.with_suffix(".both.pem"))
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # Kafka reads no other form
        found.certificate.write_bytes(chain)
        found.key.write_bytes(text)
        found.together.write_bytes(text + chain)
        return found
