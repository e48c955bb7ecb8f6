"""How commands reach Kafka: its address is an option, TLS and login are settings as the services have them."""

from farshore.bus.access import Access
from farshore.bus.access_settings import AccessSettings
from farshore.bus.clients import Bus
from farshore.settings import settings_from_environment


def kafka_bus(bootstrap_servers: str, client_id: str, replication: int = -1) -> Bus:
    """With the `FARSHORE_KAFKA_*` of the environment; raises ConfigurationError where they are wrong."""
    access = Access(settings_from_environment(AccessSettings))
    return Bus(bootstrap_servers, client_id, replication=replication, access=access)
