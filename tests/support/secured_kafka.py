"""A real Kafka with every kind of door that farshore's clients can open, each on a port of its own."""

import base64
import hashlib
import json
import secrets
import socket
import struct
import time
from pathlib import Path

from authorities import Authority

from farshore_cli.tools.kafka import Broker, Node, new_cluster_id
from farshore_cli.tools.ports import free_ports

USER = "farshore"
_DOORS = ("SSL", "MUTUAL", "SASL_SSL", "SASL_PLAINTEXT", "EXPIRED", "ELSEWHERE", "MISNAMED")
_MODULES = "org.apache.kafka.common.security"


class SecuredKafka:
    """`at(door)` is a door's address. All certificates are of `authority`, but for what `stranger` issues.

    SSL and SASL_SSL show a good certificate, EXPIRED an old one, ELSEWHERE one of another host; MUTUAL asks for the
    client's, and MISNAMED says that the broker is where ELSEWHERE is. Bearer tokens need no signature
    (`bearer_token`): Kafka's own check for tests.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.authority = Authority(folder)
        self.stranger = Authority(folder, "stranger")
        self.password = secrets.token_hex(8)
        port, controller, *doors = free_ports(2 + len(_DOORS))
        self._node = Node(1, port, controller)
        self._ports = dict(zip(_DOORS, doors, strict=True)) | {"PLAINTEXT": port}
        self.broker = Broker(folder / "data", folder / "kafka.log", port=port, overrides=self._overrides())
        self.broker.join(self._node, (), new_cluster_id())

    def at(self, door: str) -> str:
        """`host:port` of a door; PLAINTEXT has no lock."""
        return f"127.0.0.1:{self._ports[door]}"

    def start(self) -> None:
        """Start it, with a user for SCRAM."""
        self.broker.start()
        self.set_password(self.password)

    @staticmethod
    def _named(door: str) -> str:
        return "ELSEWHERE" if door == "MISNAMED" else door

    def _overrides(self) -> dict[str, str]:
        good = self.authority.issue("kafka").together
        shows = {
            "ssl": good,
            "mutual": good,
            "sasl_ssl": good,
            "misnamed": good,
            "expired": self.authority.issue("old", expired=True).together,
            "elsewhere": self.authority.issue("elsewhere", "kafka.example").together,
        }
        listeners = [f"{door}://{self.at(door)}" for door in self._ports]
        settings = {
            "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{self._node.controller_port}"]),
            "advertised.listeners": ",".join(f"{door}://{self.at(self._named(door))}" for door in self._ports),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,MUTUAL:SSL,"
            "EXPIRED:SSL,ELSEWHERE:SSL,MISNAMED:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca_file),
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            # clients with PLAIN are cut off after so long; those with a token, when it runs out
            "listener.name.sasl_plaintext.plain.connections.max.reauth.ms": "1000",
            "listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms": "600000",
            "connection.failed.authentication.delay.ms": "0",
        }
        for door, file in shows.items():
            settings[f"listener.name.{door}.ssl.keystore.type"] = "PEM"
            settings[f"listener.name.{door}.ssl.keystore.location"] = str(file)
        for door in ("sasl_ssl", "sasl_plaintext"):
            for mechanism, module in self._logins().items():
                settings[f"listener.name.{door}.{mechanism}.sasl.jaas.config"] = f"{_MODULES}.{module};"
        return settings

    def _logins(self) -> dict[str, str]:
        scram = "scram.ScramLoginModule required"
        return {
            "plain": f'plain.PlainLoginModule required user_{USER}="{self.password}"',
            "scram-sha-256": scram,
            "scram-sha-512": scram,
            "oauthbearer": 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="kafka"',
        }

    def set_password(self, password: str) -> None:
        """Give the SCRAM user this password. Source: Kafka protocol guide, AlterUserScramCredentials v0."""
        for mechanism, kind in ((1, "sha256"), (2, "sha512")):  # both in one request are refused
            body = b"\x01" + b"\x02" + _credential(mechanism, kind, password) + b"\x00"
            request = struct.pack(">hhih", 51, 0, 7, -1) + b"\x00" + body
            with socket.create_connection(("127.0.0.1", self._node.port), timeout=120) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                (size,) = struct.unpack(">i", _read(connection, 4))
                answer = _read(connection, size)
            # correlation id, tags, throttle time, number of results + 1, and for the one user: name, error code
            code = struct.unpack_from(">h", answer, 4 + 1 + 4 + 1 + 1 + len(USER))[0]
            if code != 0:
                raise AssertionError(f"Kafka refuses the password: {answer!r}")


def bearer_token(lasts_seconds: float = 600.0) -> str:
    """An unsigned token of farshore's, which lasts so long from now."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": USER, "iat": now - 60, "exp": now + lasts_seconds})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def _credential(number: int, kind: str, password: str) -> bytes:
    salt, iterations = secrets.token_bytes(16), 4096
    salted = hashlib.pbkdf2_hmac(kind, password.encode(), salt, iterations)
    return (
        _compact(USER.encode()) + struct.pack(">bi", number, iterations) + _compact(salt) + _compact(salted) + b"\x00"
    )


def _compact(content: bytes) -> bytes:
    return bytes([len(content) + 1]) + content


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("closed in the middle of an answer")
        data += piece
    return data
