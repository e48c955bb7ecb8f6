"""The settings of a small Kafka node, for one laptop and for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Node:
    """One combined broker and controller: its id and where it listens."""

    id: int
    port: int
    controller_port: int
    host: str = "127.0.0.1"

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{self.host}:{self.port}"


def server_properties(
    node: Node,
    log_dir: Path,
    *,
    voters: Sequence[Node] = (),
    overrides: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The settings of `node`, whose records live in `log_dir`.

    voters: all nodes of the cluster; empty means that this node is alone.
    The quorum is a static one (controller.quorum.voters): then nothing about ports is written into the data,
    and a cluster may come back on other ports.
    """
    nodes = voters or (node,)
    replicas = min(3, len(nodes))
    in_sync = 2 if replicas == 3 else 1
    quorum = ",".join(f"{voter.id}@{voter.host}:{voter.controller_port}" for voter in nodes)
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "listeners": f"PLAINTEXT://{node.bootstrap},CONTROLLER://{node.host}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{node.bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": quorum,
        "log.dirs": str(log_dir),
        # a topic comes into being with its settings or not at all
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        # a killed node may come back, and a dead member's partitions move on, within seconds
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # the default takes half of this heap as soon as compaction begins
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    }
    return settings | dict(overrides or {})


def write_config(
    file: Path,
    node: Node,
    log_dir: Path,
    *,
    voters: Sequence[Node] = (),
    overrides: Mapping[str, str] | None = None,
) -> Path:
    """Write `server_properties` to `file` and return it."""
    settings = server_properties(node, log_dir, voters=voters, overrides=overrides)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return file
