"""What the rendered rules say, without nginx; tests/integration/edge asks nginx and real clients."""

import re
from pathlib import Path

import pytest

from farshore.errors import ConfigurationError
from farshore.topology import parse_topology
from farshore_edge.render import digest_of_rules, files_read, render
from farshore_edge.routes import Upstream, routes_of
from farshore_edge.runtime import Runtime

TWO_REGISTRIES = """
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {url: "https://nyc-cluster", password: "env:NYC", svm: svm1}
    edge: {url: "http://edge.nyc", listen: ":8080"}
  fra:
    model: adjacent
    ontap: {url: "https://fra-cluster", password: "env:FRA", svm: svm1}
    edge: {url: "http://edge.fra", listen: "0.0.0.0:8080"}
  syd:
    model: cloud
    ontap: {url: "https://syd-cluster", password: "env:SYD", svm: svm1}
registries:
  main:
    primary: {site: nyc, volume: main, url: "http://nyc:5000"}
    replicas: [{site: fra, volume: main, url: "http://fra:5000"}]
    notifications: {tokens: ["env:TOKEN"]}
  ml:
    prefix: ml.team/
    primary: {site: fra, volume: ml, url: "https://ml.fra"}
    replicas: [{site: nyc, volume: ml, url: "http://nyc:5001"}]
    notifications: {tokens: ["env:TOKEN"]}
"""
TOPOLOGY = parse_topology(TWO_REGISTRIES, "test")


def registry_of(text: str, uri: str) -> str:
    """The registry that the rendered map chooses for `uri`, by nginx's rule: exact first, then regex in order."""
    body = re.search(r"map \$uri \$registry \{(.*?)\n  \}", text, re.S)
    assert body is not None
    entries = [line.strip().rstrip(";").rsplit(" ", 1) for line in body[1].strip().splitlines()]
    table = {key.strip('"'): value for key, value in entries}
    if uri in table:
        return table[uri]
    patterns = [(key[1:], value) for key, value in table.items() if key.startswith("~")]
    return next((value for pattern, value in patterns if re.search(pattern, uri)), table["default"])


def test_the_longest_prefix_comes_first() -> None:
    assert [route.registry for route in routes_of(TOPOLOGY, "nyc")] == ["ml", "main"]


def test_each_registry_is_written_at_its_own_primary() -> None:
    routes = {route.registry: route for route in routes_of(TOPOLOGY, "nyc")}
    assert routes["main"].primary == Upstream("http", "nyc", 5000)
    assert routes["ml"].primary == Upstream("https", "ml.fra", 443)


def test_at_the_primarys_own_site_there_is_one_upstream() -> None:
    routes = {route.registry: route for route in routes_of(TOPOLOGY, "nyc")}
    assert routes["main"].local is None
    assert routes["ml"].local == Upstream("http", "nyc", 5001)


@pytest.mark.parametrize(
    ("uri", "registry"),
    [
        ("/v2/", "main"),
        ("/v2/_catalog", "main"),
        ("/v2/team/app/manifests/v1", "main"),
        ("/v2/ml.team/model/manifests/v1", "ml"),
        ("/v2/ml.team/a/b/blobs/uploads/", "ml"),
        ("/v2/ml.team/model/tags/list", "ml"),
        ("/v2/mlxteam/model/manifests/v1", "main"),  # the dot is a dot
        ("/v2/ml.team/manifests/v1", "main"),  # the repository `ml.team` is not below `ml.team/`
        ("/v2/ml.team/blobs/uploads/", "main"),
        ("/v2/other/ml.team/x/manifests/v1", "main"),
    ],
)
def test_a_repository_goes_to_the_registry_of_its_prefix(uri: str, registry: str) -> None:
    assert registry_of(render(TOPOLOGY, "nyc"), uri) == registry


def test_without_a_registry_for_every_name_a_foreign_name_is_nowhere() -> None:
    only_ml = TOPOLOGY.model_copy(update={"registries": {"ml": TOPOLOGY.registries["ml"]}})
    text = render(only_ml, "fra")
    assert registry_of(text, "/v2/team/app/manifests/v1") == "-"
    assert registry_of(text, "/v2/") == "ml"


def test_a_site_that_only_has_primaries_has_no_stale_answers() -> None:
    only_main = TOPOLOGY.model_copy(update={"registries": {"main": TOPOLOGY.registries["main"]}})
    text = render(only_main, "nyc")
    assert "@stale" not in text
    assert "local_main" not in text
    assert "@stale" in render(only_main, "fra")


def test_uploads_and_writes_are_never_routed_to_a_replica() -> None:
    routed = re.findall(r'"main:(\w+):(\w+)" (local|fresh);', render(TOPOLOGY, "fra"))
    assert {method for method, _, _ in routed} == {"GET", "HEAD"}
    assert "session" not in {kind for _, kind, _ in routed}


def test_what_a_pusher_asks_before_it_skips_its_upload_comes_from_the_primary() -> None:
    routes = re.findall(r'"main:(\w+:\w+)" (local|fresh);', render(TOPOLOGY, "fra"))
    assert dict(routes)["HEAD:blob"] == "fresh"
    assert dict(routes)["HEAD:tag"] == "fresh"
    assert dict(routes)["HEAD:manifest"] == "fresh"
    assert dict(routes)["GET:manifest"] == "local"
    assert dict(routes)["GET:blob"] == "local"


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET:blob", "no"),
        ("HEAD:tag", "no"),
        ("GET:meta", "no"),
        ("GET:referrers", "no"),
        ("GET:session", "yes"),
        ("HEAD:session", "yes"),
        ("POST:session", "yes"),
        ("PUT:manifest", "yes"),
        ("DELETE:tag", "yes"),
    ],
)
def test_a_hold_concerns_writes_and_all_of_an_upload_session(request_line: str, expected: str) -> None:
    body = re.search(
        r'map "\$request_method:\$kind" \$writes \{\s*default\s+yes;\s*"~(.*)"\s+no;', render(TOPOLOGY, "fra")
    )
    assert body is not None
    assert ("no" if re.search(body[1], request_line) else "yes") == expected


TLS = ", certificate: /tls/edge.pem, certificate_key: /tls/edge.key, ca_file: /tls/ca.pem}"


def test_a_certificate_makes_the_edge_talk_tls_alone() -> None:
    secure = TWO_REGISTRIES.replace('"http://edge.nyc", listen: ":8080"}', f'"https://edge.nyc", listen: ":8443"{TLS}')
    text = render(parse_topology(secure, "test"), "nyc")
    assert re.findall(r"listen .*", text) == ["listen *:8443 ssl;"]
    assert 'ssl_certificate_key "/tls/edge.key";' in text
    assert 'proxy_ssl_trusted_certificate "/tls/ca.pem";' in text


@pytest.mark.parametrize(
    ("edge", "complaint"),
    [
        ('url: "https://edge.nyc", listen: ":8443", certificate: /tls/edge.pem', "give both or neither"),
        ('url: "https://edge.nyc", listen: ":8443", certificate_key: /tls/edge.key', "give both or neither"),
        (
            'url: "http://edge.nyc", listen: ":8443", certificate: /tls/edge.pem, certificate_key: /tls/edge.key',
            "url begins with http://",
        ),
    ],
)
def test_half_of_a_tls_setting_is_refused(edge: str, complaint: str) -> None:
    wrong = TWO_REGISTRIES.replace('url: "http://edge.nyc", listen: ":8080"', edge)
    with pytest.raises(ConfigurationError, match=complaint):
        parse_topology(wrong, "test")


def test_a_certificates_path_cannot_bring_directives_along() -> None:
    secure = TWO_REGISTRIES.replace('"http://edge.nyc", listen: ":8080"}', f'"https://edge.nyc", listen: ":8443"{TLS}')
    with pytest.raises(ConfigurationError, match="nginx would read more than a path"):
        render(parse_topology(secure.replace("edge.key", "a$b"), "test"), "nyc")


def test_an_address_without_a_host_listens_everywhere() -> None:
    assert "listen *:8080;" in render(TOPOLOGY, "nyc")


def test_an_unknown_site_and_a_site_without_edge_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="lax"):
        render(TOPOLOGY, "lax")
    with pytest.raises(ConfigurationError, match="syd: the site has no edge"):
        render(TOPOLOGY, "syd")


@pytest.mark.parametrize("name", ['a"b', "a;b", "a$b", "a\nb", "a{b", "a\\b"])
def test_a_path_cannot_bring_directives_along(name: str) -> None:
    with pytest.raises(ConfigurationError, match="nginx would read more than a path"):
        render(TOPOLOGY, "nyc", Runtime(pid_file=Path("/run") / name))
    with pytest.raises(ConfigurationError, match="nginx would read more than a path"):
        render(TOPOLOGY, "nyc", Runtime(hold_dir=Path("/run") / name))


def test_rules_with_other_files_have_another_name_and_a_user_is_a_name() -> None:
    with_files = render(TOPOLOGY, "fra", files="sha256:of-a-certificate")
    assert digest_of_rules(with_files) != digest_of_rules(render(TOPOLOGY, "fra"))
    assert "\nuser edge;\n" in render(TOPOLOGY, "fra", Runtime(user="edge"))
    with pytest.raises(ConfigurationError, match="no user's name"):
        render(TOPOLOGY, "fra", Runtime(user="edge; load_module x"))


def test_only_files_that_nginx_reads_are_watched() -> None:
    everywhere = Runtime(ca_file=Path("/ca.pem"))
    assert files_read(TOPOLOGY, "nyc", everywhere) == [Path("/ca.pem")]  # ml's primary is behind https
    text = TWO_REGISTRIES.replace("https://ml.fra", "http://ml.fra")
    assert files_read(parse_topology(text, "test"), "nyc", everywhere) == []
    text = text.replace('url: "http://edge.nyc", listen: ":8080"}', 'url: "https://edge.nyc", listen: ":8080"' + TLS)
    own = parse_topology(text, "test")
    assert files_read(own, "nyc", everywhere) == [Path("/tls/edge.pem"), Path("/tls/edge.key")]
