"""Certificates for servers of tests."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str) -> dict[str, str]:
    """A self-signed certificate of 127.0.0.1, as the topology names it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the test's certificates, isn't here")
    files = {"certificate": str(folder / f"{name}.pem"), "certificate_key": str(folder / f"{name}.key")}
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    # nginx compares an upstream's certificate with DNS names alone, even where the topology has an address
    command += ["-subj", "/CN=edge", "-addext", "subjectAltName=IP:127.0.0.1,DNS:127.0.0.1"]
    command += ["-out", files["certificate"], "-keyout", files["certificate_key"]]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return files
