"""The documents agree with one another and with the tree."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from documents import DOCS, ROOT, anchors, code_spans, documents, fences, links

ADRS = sorted((DOCS / "adr").glob("*.md"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_relative_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in links(document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert not broken


def test_the_readme_has_exactly_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    commands = [line for language, block in fences(text) if language != "text" for line in block.splitlines()]
    assert commands == ["make demo", "make test"]
    indented = re.findall(r"^ {4}\S.*$", "".join(re.split(r"^```.*?^```$", text, flags=re.MULTILINE | re.DOTALL)), re.M)
    assert not indented
    assert {span for span in code_spans(text) if span.startswith(("make ", "uv ", "pip ", "python "))} == set(commands)


def test_make_has_every_target_that_a_document_names() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target
        for document in documents()
        for target in re.findall(r"(?:`| {4}|^)make ([a-z-]+)", document.read_text(), re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets


def test_every_decision_is_in_the_index_under_its_number() -> None:
    index = re.findall(r"\[(\d+)\]\(adr/(\S+)\)", (DOCS / "README.md").read_text())
    assert sorted(name for _, name in index) == [path.name for path in ADRS]
    assert all(int(number) == int(name.split("-")[0]) for number, name in index)


@pytest.mark.parametrize("adr", ADRS, ids=name_of)
def test_a_decision_says_its_number_and_its_reasons(adr: Path) -> None:
    text = adr.read_text()
    assert text.startswith(f"# {int(adr.name.split('-')[0])}. ")
    assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences"))


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.name.split("-")[0] for path in ADRS]
    assert len(set(numbers)) == len(numbers)


def test_the_index_names_every_document() -> None:
    index = set(links((DOCS / "README.md").read_text()))
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= index


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_files_that_a_document_names_exist(document: Path) -> None:
    folders = ("shared", "services", "tests", "bench", "scripts", "docs")
    known = [f"/{name_of(path)}" for folder in folders for path in (ROOT / folder).rglob("*.py")]
    named = {span for span in code_spans(document.read_text()) if re.fullmatch(r"[\w/]+\.py", span)}
    placeholders = {"services/receiver/farshore_receiver/adapters/NAME.py"}
    assert not {name for name in named - placeholders if not any(path.endswith(f"/{name}") for path in known)}


def test_folders_that_the_architecture_maps_are_all_there_is() -> None:
    mapped = {link.rstrip("/") for link in links((ROOT / "ARCHITECTURE.md").read_text())}
    members = {name_of(path.parent) for path in ROOT.glob("services/*/pyproject.toml")}
    packages = {name_of(path.parent) for path in ROOT.glob("shared/farshore/*/__init__.py")}
    assert members | packages <= mapped


@pytest.mark.parametrize(("theme", "palette"), [("light", "LIGHT"), ("dark", "DARK")])
def test_the_picture_is_what_its_script_draws(theme: str, palette: str) -> None:
    script = drawing()
    drawn = script.draw(getattr(script, palette))
    assert (DOCS / "images" / f"data-path-{theme}.svg").read_text() == drawn, "run python docs/images/draw.py"


def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_data_path", DOCS / "images" / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
