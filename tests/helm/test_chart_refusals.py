"""Values that can't work are refused, and the reason is told."""

from pathlib import Path

import pytest
from charts import CHART, TOPOLOGY, refusal, rendered, template, with_values


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("hub", "receiver.replica=3", "additional properties 'replica' not allowed"),
        ("hub", "nonsense=1", "additional properties 'nonsense' not allowed"),
        ("hub", "receiver.env.FARSHORE_TOPOLOGY=x", "FARSHORE_RECEIVER_BODY_TIMEOUT"),
        ("hub", "role=spoke", "'hub', 'site'"),
        ("hub", "kafka.bootstrapServers=kafka", "/kafka/bootstrapServers"),
        ("hub", "kafka.replication=0", "/kafka/replication"),
        ("hub", "kafka.sasl.mechanism=GSSAPI", "'SCRAM-SHA-512'"),
        ("hub", "reconcile.schedule=hourly", "/reconcile/schedule"),
        ("hub", "receiver.workers=0", "minimum: got 0, want 1"),
        ("site", "edge.port=443", "minimum: got 443, want 1,024"),
        ("hub", "image.registry=", "image.registry is empty: farshore's images are on no public registry"),
        ("hub", "image.registry=https://registry.example/farshore", "/image/registry"),
        ("hub", "topology.existingConfigMap=mine", "are both set: choose one"),
        ("hub", "site=fra", "a hub serves all sites"),
        ("site", "site=", "site is empty"),
        ("site", "site=sin", "which the topology doesn't have; it has fra, nyc, syd"),
        ("site", "site=syd", "sites.syd in the topology has no edge"),
        ("site", "site=nyc", "no registry of the topology has a replica there: write verifier.enabled=false"),
        ("site", "edge.port=8080", "edge.port is 8080: nginx would listen where nobody asks"),
        ("site", "edge.tlsSecret=", "edge.tlsSecret is empty: name the Secret that has it"),
        (
            "site",
            "certificates=[]",
            "ca_file of sites.fra.edge in the topology is /etc/farshore/certificates/private-ca",
        ),
        ("hub", "kafka.bootstrapServers=", "kafka.bootstrapServers is empty"),
        ("hub", "kafka.tls.caSecret=ca", "kafka.securityProtocol is PLAINTEXT, without TLS"),
        ("hub", "kafka.securityProtocol=SASL_SSL", "kafka.sasl.mechanism is empty"),
        ("hub", "kafka.sasl.username=me", "kafka.securityProtocol is PLAINTEXT, without login"),
        ("hub-everything", "kafka.sasl.username=", "kafka.sasl.username is empty, but kafka.sasl.mechanism is SCRAM"),
        ("hub-everything", "kafka.sasl.secret=", "kafka.sasl.secret is empty"),
        ("site", "kafka.sasl.oauth.tokenUrl=", "kafka.sasl.oauth.tokenUrl is empty"),
        ("site", "kafka.sasl.username=me", "OAUTHBEARER, which has a client id instead"),
        (
            "hub",
            "kafka.sasl.oauth.clientId=me",
            "kafka.sasl.oauth.clientId is set, but kafka.securityProtocol is PLAINTEXT",
        ),
        ("hub-everything", "kafka.sasl.oauth.scope=all", "SCRAM-SHA-512: only OAUTHBEARER has a token"),
        (
            "hub-oauth",
            "kafka.sasl.oauth.tokenUrl=http://login",
            "caSecret is set, but kafka.sasl.oauth.tokenUrl is http:",
        ),
        ("hub-oauth", 'reconcile.sites=["fra"]', "the service compares all sites or none. Write [all] or []"),
        ("hub", "coalescer.replicas=5", "coalescer.replicas is 5: farshore.events has 4 partitions"),
        ("hub", "verifier.replicas=9", "verifier.replicas is 9: farshore.arrivals has 4 partitions"),
        ("hub", "coalescer.secrets=[]", "is in the Secret ontap, which coalescer.secrets doesn't name"),
        ("hub", 'receiver.secrets=["other"]', "is in the Secret notification-tokens, which receiver.secrets"),
        ("hub", 'verifier.sites=["nyc"]', "no registry of the topology has a replica there"),
        (
            "hub-everything",
            "verifier.mounts[0].site=nyc",
            "the topology has no such replica; it has main.fra, main.syd",
        ),
    ],
)
def test_values_that_cannot_work_are_refused_with_the_reason(name: str, wrong: str, told: str) -> None:
    assert told in refusal(*with_values(name, wrong))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "there is no topology: add --set-file topology.file=topology.yaml"),
        ("nonsense: 1", "topology.file has no sites: `farshore check topology.yaml` says more"),
        ("sites: {a", "topology.file is not YAML"),
    ],
)
def test_a_topology_that_is_none_is_refused(text: str, told: str, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text(text)
    assert told in refusal(*with_values("hub", topology=topology))


def test_a_default_that_is_taken_away_is_missed() -> None:
    assert "missing property 'resources'" in refusal(*with_values("hub", "coalescer.resources=null"))


def test_autoscaling_needs_a_topology_that_the_chart_can_read() -> None:
    options = with_values("hub-everything", "topology.existingConfigMap=mine", topology=None)
    assert "keda.enabled needs topology.file" in refusal(*options)


def test_a_network_policy_is_not_made_of_a_topology_that_the_chart_cannot_read() -> None:
    unread = ("topology.existingConfigMap=mine", "networkPolicy.enabled=true")
    assert "Name these ports in networkPolicy.extraEgressPorts" in refusal(*with_values("hub", *unread, topology=None))
    objects = rendered(*with_values("hub", *unread, "networkPolicy.extraEgressPorts=[443]", topology=None))
    assert "NetworkPolicy" in {one["kind"] for one in objects}


def test_a_secret_in_the_environment_is_refused_and_not_shown(tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text(TOPOLOGY.read_text().replace("file:/etc/farshore/secrets/ontap/nyc", "pass-word-itself"))
    said = refusal(*with_values("hub", topology=topology))
    assert "sites.nyc.ontap.password in the topology is no file that a pod has" in said
    assert "pass-word-itself" not in said


def test_all_that_is_wrong_is_told_at_once() -> None:
    said = template().stderr
    assert all(part in said for part in ("image.registry", "there is no topology", "kafka.bootstrapServers"))
    assert CHART.name in said


def test_an_existing_config_map_is_taken_as_it_is() -> None:
    objects = rendered(*with_values("hub", "topology.existingConfigMap=mine", topology=None))
    assert "ConfigMap" not in {one["kind"] for one in objects}


def test_an_edge_alone_needs_no_kafka() -> None:
    objects = rendered(*with_values("site", "verifier.enabled=false", "kafka.bootstrapServers="))
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Deployment"] == ["farshore-edge"]
