"""A verifier at a site takes part in that site's work alone."""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from verifier_world import VerifierProcess
from waiting import wait_until

from farshore_cli.tools.kafka import Broker

pytestmark = pytest.mark.integration

TOPOLOGY = """
version: 1
sites:
  nyc: {model: on-prem, ontap: {url: 'https://nyc.invalid', password: 'env:NOT_USED', svm: s}}
  fra: {model: cloud, ontap: {url: 'https://fra.invalid', password: 'env:NOT_USED', svm: s}}
  syd: {model: cloud, ontap: {url: 'https://syd.invalid', password: 'env:NOT_USED', svm: s}}
registries:
  main:
    primary: {site: nyc, volume: main, url: 'http://nyc.invalid'}
    replicas: [{site: fra, volume: main, url: 'http://fra.invalid'}, {site: syd, volume: main, url: 'http://syd.invalid'}]
    notifications: {tokens: ['env:NOT_USED']}
"""


async def test_it_joins_only_the_group_of_its_site(own_broker: Broker, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text(TOPOLOGY)
    verifier = VerifierProcess(topology, own_broker.bootstrap, tmp_path / "verifier.log", sites="fra")
    verifier.start()
    try:
        await wait_until(verifier.is_ready, 30, "the verifier")
        admin = AIOKafkaAdminClient(bootstrap_servers=own_broker.bootstrap)
        await admin.start()
        try:
            groups = {name for name, _ in await admin.list_consumer_groups()}
        finally:
            await admin.close()
        assert {name for name in groups if name.startswith("farshore.verifier.")} == {
            "farshore.verifier.everywhere",
            "farshore.verifier.fra",
        }
    finally:
        assert verifier.stop() == 0, verifier.log
