"""The files that `farshore apply` writes for people to carry to registries and edges."""

from pathlib import Path

from farshore.topology import load_topology
from farshore_cli.applying.files import site_files, write_files

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def files() -> dict[str, str]:
    return site_files(
        load_topology(EXAMPLES / "hub-and-spokes.yaml"), "https://receiver.example", Path("/srv/farshore/holds")
    )


def test_every_edge_looks_for_held_writes_where_it_was_told_to() -> None:
    rules = {name: text for name, text in files().items() if name.startswith("edge-")}
    assert rules
    assert all('"/srv/farshore/holds/' in text and "/run/farshore-holds" not in text for text in rules.values())


def test_a_primary_is_told_where_to_post_and_which_token_but_never_the_token_itself() -> None:
    text = files()["registry-main.yaml"]
    assert "https://receiver.example/v1/notifications/main" in text
    assert "Bearer <the token behind " in text


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    wanted = files()
    assert {path.name for path in write_files(tmp_path / "files", wanted)} == set(wanted)
    (tmp_path / "files" / "registry-main.yaml").write_text("changed by hand")
    assert [path.name for path in write_files(tmp_path / "files", wanted)] == ["registry-main.yaml"]
