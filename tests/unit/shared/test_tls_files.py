"""Files for TLS that can't be used are told with the setting that names them."""

import re
import subprocess
from pathlib import Path

import pytest
from authorities import Authority

from farshore.errors import ConfigurationError
from farshore.tls import FileSetting, client_context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def complaint(ca: Path | None, certificate: Path | None = None, key: Path | None = None) -> str:
    files = [
        FileSetting(name, str(path)) if path else None
        for name, path in (("CA", ca), ("CERT", certificate), ("KEY", key))
    ]
    with pytest.raises(ConfigurationError) as caught:
        client_context(*files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_not_there_or_holds_something_else(authority: Authority, tmp_path: Path) -> None:
    mine = authority.issue("mine")
    assert re.search("none.pem of CA: No such file", complaint(tmp_path / "none.pem"))
    assert re.search("of CA: Is a directory", complaint(tmp_path))
    assert re.search("of CA: there is no PEM certificate in it", complaint(mine.key))
    binary = tmp_path / "der"
    binary.write_bytes(b"\x30\x82\xff\xfe")
    assert re.search("of CA: not text", complaint(binary))
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert re.search("of CA: OpenSSL can't read it", complaint(broken))
    assert re.search("of KEY: there is no PEM private key", complaint(None, mine.certificate, mine.certificate))
    assert re.search("of CERT: there is no PEM certificate", complaint(None, mine.key, mine.key))


def test_a_key_of_another_certificate_or_with_a_passphrase(authority: Authority, tmp_path: Path) -> None:
    mine, other = authority.issue("mine"), authority.issue("other")
    assert re.search(f"of KEY: it is not the key of {mine.certificate}", complaint(None, mine.certificate, other.key))
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(mine.key), "-out", str(locked), "-passout", "pass:hunter2"]
    subprocess.run(command, check=True, timeout=120)
    assert re.search("of KEY: the key is encrypted", complaint(None, mine.certificate, locked))
