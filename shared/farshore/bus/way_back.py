"""A way back to Kafka for a client all of whose known brokers are gone: ask the bootstrap servers again (KIP-899).

aiokafka 0.14 asks only brokers that Kafka named last, and Kafka names only those that are up. A client that learned of
a cluster's brokers while just one was left would know that one for up to five minutes (`metadata_max_age_ms`), and
where it dies meanwhile, find nobody ever again although all the others have long come back.
"""

from collections.abc import Sequence

from aiokafka.client import AIOKafkaClient


def with_way_back(client: AIOKafkaClient, addresses: Sequence[str]) -> None:
    """Have `client`, which must not have been started, forget its brokers when none of them answers.

    It then asks at `addresses`, as it did at its start.
    """
    cluster = client.cluster
    cluster.config["bootstrap_servers"] = list(addresses)  # aiokafka leaves it at localhost
    cluster._bootstrap_brokers = cluster._generate_bootstrap_brokers()
    failed_update = cluster.failed_update

    def forget(reason: BaseException | None) -> None:
        failed_update(reason)
        cluster._brokers = {}

    cluster.failed_update = forget
