"""A real registry behind TLS with a private CA: what is trusted, what isn't and how that is told."""

import re
from pathlib import Path

import pytest
from authorities import Authority
from registry_process import RegistryProcess
from tls_front import TlsFront
from waiting import wait_until

from farshore.registry import RegistryClient, UnreachableError
from farshore_cli.tools.find import Tools

pytestmark = pytest.mark.integration


async def test_a_registry_is_trusted_by_its_ca_file_alone(tools: Tools, tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    good, old = authority.issue("good"), authority.issue("old", expired=True)
    elsewhere = authority.issue("elsewhere", "registry.example")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.ca_file.read_bytes())
    registry = RegistryProcess(tools.registries["v2"], tmp_path / "content")
    await registry.start()
    try:
        async with TlsFront(registry.url, good) as front, RegistryClient(front.url, ca_file=str(trusted)) as client:
            await client.check()
            for certificate, says in ((old, r"has expired \(renew"), (elsewhere, r"for another host \(write")):
                front.show(certificate)
                with pytest.raises(UnreachableError, match=says):
                    await client.check()
            front.show(stranger.issue("next"))
            with pytest.raises(UnreachableError) as caught:
                await client.check()
            assert re.search("of no CA that is known here .set ca_file, beside this url", str(caught.value))

            async def answers() -> bool:
                try:
                    await client.check()
                except UnreachableError:
                    return False
                return True

            trusted.write_bytes(stranger.ca_file.read_bytes())
            await wait_until(answers, 10, "the other CA in use")
    finally:
        registry.stop()
