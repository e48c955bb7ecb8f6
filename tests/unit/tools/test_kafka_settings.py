"""The settings and pins of the Kafka that demo and tests run."""

from pathlib import Path

from farshore_cli.tools.kafka import KAFKA_VERSION, Node, new_cluster_id, pinned_jars, server_properties

NODES = [Node(id=number, port=9000 + number, controller_port=9100 + number) for number in (1, 2, 3)]


def test_a_node_alone_is_its_own_quorum_and_keeps_one_copy() -> None:
    settings = server_properties(NODES[0], Path("/data"))
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9101"
    assert settings["transaction.state.log.replication.factor"] == "1"
    assert settings["min.insync.replicas"] == "1"


def test_three_nodes_keep_three_copies_and_lose_nothing_with_one_of_them() -> None:
    settings = server_properties(NODES[1], Path("/data"), voters=NODES)
    assert settings["node.id"] == "2"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9101,2@127.0.0.1:9102,3@127.0.0.1:9103"
    for setting in ("default", "offsets.topic", "transaction.state.log"):
        assert settings[f"{setting}.replication.factor"] == "3"
    assert settings["min.insync.replicas"] == settings["transaction.state.log.min.isr"] == "2"


def test_topics_do_not_come_into_being_by_themselves() -> None:
    assert server_properties(NODES[0], Path("/data"))["auto.create.topics.enable"] == "false"


def test_a_caller_has_the_last_word_on_a_setting() -> None:
    settings = server_properties(NODES[0], Path("/data"), overrides={"log.segment.bytes": "1048576"})
    assert settings["log.segment.bytes"] == "1048576"


def test_every_jar_is_pinned_once_and_kafkas_own_are_of_one_version() -> None:
    jars = pinned_jars()
    assert len({jar.name for jar in jars}) == len(jars) == 45
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert {jar.path.split("/")[-2] for jar in jars if "/kafka/" in jar.path} == {KAFKA_VERSION}


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    ids = {new_cluster_id() for _ in range(2_000)}
    assert len(ids) == 2_000
    assert all(len(text) == 22 and not text.startswith("-") for text in ids)
