"""A cluster behind TLS with a private CA: what is trusted, what isn't and how that is told, and files that change."""

from pathlib import Path

import pytest
from authorities import Authority
from simulators import PASSWORD, Simulator, start_simulators
from tls_front import TlsFront
from waiting import wait_until

from farshore.errors import RetryClass
from farshore.ontap import OntapCluster, OntapError
from farshore.topology import Cluster

pytestmark = pytest.mark.integration


def cluster_at(url: str, simulator: Simulator, ca_file: Path | None, password: str | None = None) -> OntapCluster:
    changed = {"url": url, "ca_file": str(ca_file) if ca_file else None, "max_requests": 1}
    if password:
        changed["password"] = password
    return OntapCluster("fra", Cluster.model_validate(simulator.settings.model_dump(mode="json") | changed))


async def test_a_cluster_is_trusted_by_its_ca_file_alone(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    good, old = authority.issue("good"), authority.issue("old", expired=True)
    elsewhere = authority.issue("elsewhere", "fra.example")
    with start_simulators(tmp_path, ["fra"]) as sites:
        async with TlsFront(sites["fra"].url, good) as front:
            async with cluster_at(front.url, sites["fra"], authority.ca_file) as cluster:
                assert (await cluster.info()).name == "cluster-fra"
            for certificate, ca_file, says in (
                (good, stranger.ca_file, r"of no CA that is known here \(set sites.fra.ontap.ca_file"),
                (good, None, r"of no CA that is known here \(set sites.fra.ontap.ca_file"),
                (old, authority.ca_file, r"has expired \(renew it"),
                (elsewhere, authority.ca_file, r"for another host \(write the url"),
            ):
                front.show(certificate)
                async with cluster_at(front.url, sites["fra"], ca_file) as cluster:
                    with pytest.raises(OntapError, match=says) as caught:
                        await cluster.delete_snapshot("v", "s")
                assert (caught.value.retry, caught.value.ambiguous) == (RetryClass.OPERATOR, False)
                assert PASSWORD not in str(caught.value)


async def test_a_ca_and_a_password_that_change_are_used_without_a_restart(tmp_path: Path) -> None:
    authority, following = Authority(tmp_path), Authority(tmp_path, "following")
    ca_file, password = tmp_path / "trusted.pem", tmp_path / "changing"
    ca_file.write_bytes(authority.ca_file.read_bytes())
    password.write_text("not-the-password")
    with start_simulators(tmp_path, ["fra"]) as sites:
        async with (
            TlsFront(sites["fra"].url, authority.issue("good")) as front,
            cluster_at(front.url, sites["fra"], ca_file, f"file:{password}") as cluster,
        ):
            with pytest.raises(OntapError, match="not authorized"):
                await cluster.info()

            async def answers() -> bool:
                try:
                    return bool(await cluster.info())
                except OntapError:
                    return False

            password.write_text(PASSWORD)
            await wait_until(answers, 10, "the right password in use")
            front.show(following.issue("next"))
            assert not await answers()
            ca_file.write_bytes(following.ca_file.read_bytes())
            await wait_until(answers, 10, "the other CA in use")
