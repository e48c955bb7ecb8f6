"""A real Kafka node as a child process, for tests; `farshore up` has its own supervisor."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from farshore.errors import FarshoreError, RetryClass
from farshore_cli.tools.child import end, spawn, tail
from farshore_cli.tools.kafka.command import broker_command, cluster_id_of, format_storage, new_cluster_id
from farshore_cli.tools.kafka.config import Node, write_config
from farshore_cli.tools.kafka.probe import ask_cluster
from farshore_cli.tools.ports import free_ports

_POLL_SECONDS = 0.05
_PORT_TAKEN = "Address already in use"
_PORT_CHOICES = 3


class BrokerError(FarshoreError):
    """A Kafka node ended, or did not come into service in time; the message shows the end of its log."""


class Broker:
    """One Kafka node with its data in `data_dir` and its output in `log_file`.

    port 0 means a free one. The first start formats the storage; a later one, by this object or another with
    the same `data_dir`, goes on with the data. Blocking: `start` takes 2-4 s. It dies with the thread that
    started it (see `child.spawn`): from a coroutine, call `launch` itself in the loop's thread and
    `wait_until_ready` in another.
    """

    def __init__(
        self,
        data_dir: Path,
        log_file: Path,
        *,
        port: int = 0,
        overrides: Mapping[str, str] | None = None,
        heap_mb: int = 256,
        java_options: Sequence[str] = (),
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._log_file = log_file.absolute()
        self._fixed_port = port
        self._overrides = dict(overrides or {})
        self._heap_mb = heap_mb
        self._java_options = java_options
        self._node = _choose_node(1, port)
        self._voters: Sequence[Node] = ()
        self._cluster_id = new_cluster_id()
        self._process: subprocess.Popen[bytes] | None = None

    def join(self, node: Node, voters: Sequence[Node], cluster_id: str) -> None:
        """Become `node` of a cluster of `voters`, before the first start; Cluster does this."""
        self._node, self._voters, self._cluster_id = node, voters, cluster_id
        self._fixed_port = node.port

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return self._node.bootstrap

    @property
    def log_file(self) -> Path:
        return self._log_file

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def prepare(self) -> None:
        """Write the settings, and format the storage when it is new."""
        log_dir = self._data_dir / "log"
        config = write_config(self._config_file, self._node, log_dir, voters=self._voters, overrides=self._overrides)
        format_storage(config, log_dir, self._cluster_id)

    def launch(self) -> None:
        """Start the process on prepared storage, and return at once."""
        if self.pid is None:
            command = broker_command(self._config_file, heap_mb=self._heap_mb, java_options=self._java_options)
            self._process = spawn(command, log_file=self._log_file)

    def wait_until_ready(self, within_seconds: float = 180.0) -> None:
        """Return when the node is in service; raise BrokerError when it ended, or isn't so in time."""
        deadline = time.monotonic() + within_seconds
        while not self._in_service():
            if self.pid is None:
                raise self._failed("it ended while starting")
            if time.monotonic() > deadline:
                raise self._failed(f"not in service after {within_seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def start(self, within_seconds: float = 180.0) -> Self:
        """prepare, launch and wait_until_ready; a freely chosen port that was taken meanwhile is replaced."""
        for attempt in range(1, _PORT_CHOICES + 1):
            self.prepare()
            self.launch()
            try:
                self.wait_until_ready(within_seconds)
            except BrokerError as failure:
                self.kill()
                if self._fixed_port or attempt == _PORT_CHOICES or _PORT_TAKEN not in failure.reason:
                    raise
                self._node = _choose_node(self._node.id, 0)
            else:
                break
        return self

    def stop(self, within_seconds: float = 30.0) -> None:
        """End the process in order, killing it when that takes longer than `within_seconds`."""
        if self._process is not None:
            end(self._process, within_seconds=within_seconds)

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def _config_file(self) -> Path:
        return self._data_dir / "server.properties"

    @property
    def _log_dir(self) -> Path:
        return self._data_dir / "log"

    def _in_service(self) -> bool:
        view = ask_cluster(self._node.host, self._node.port)
        return view is not None and view.cluster_id == cluster_id_of(self._log_dir) and self._node.id in view.brokers

    def _failed(self, reason: str) -> BrokerError:
        return BrokerError(
            "start Kafka at",
            self.bootstrap,
            f"{reason}; the end of {self._log_file}:\n{tail(self._log_file)}",
            retry=RetryClass.OPERATOR,
        )


class Cluster:
    """`size` combined nodes on the loopback, each in its own folder below `data_dir`; about 200 MB each."""

    def __init__(
        self, data_dir: Path, log_dir: Path, *, size: int = 3, overrides: Mapping[str, str] | None = None
    ) -> None:
        ports = free_ports(2 * size)
        nodes = [Node(i + 1, ports[2 * i], ports[2 * i + 1]) for i in range(size)]
        cluster_id = new_cluster_id()
        self.brokers: tuple[Broker, ...] = tuple(
            Broker(
                data_dir / f"node-{node.id}",
                log_dir / f"kafka-{node.id}.log",
                port=node.port,
                overrides=overrides,
            )
            for node in nodes
        )
        for broker, node in zip(self.brokers, nodes, strict=True):
            broker.join(node, nodes, cluster_id)

    @property
    def bootstrap(self) -> str:
        """All nodes' `host:port`, for clients."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self, within_seconds: float = 180.0) -> Self:
        """Start all nodes; return when each is in service."""
        for broker in self.brokers:
            broker.prepare()
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait_until_ready(within_seconds)
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for broker in self.brokers:
            broker.kill()


def _choose_node(node_id: int, port: int) -> Node:
    free = free_ports(2)
    return Node(node_id, port or free[0], free[1])
