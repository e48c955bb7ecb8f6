"""What a topology file is refused for: each rule, with the line, and never with a secret's value."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore.topology import TopologyError, load_topology, parse_topology
from farshore.topology.file import MAX_BYTES

GOOD = """\
version: 1
sites:
  nyc:
    model: on-prem
    ontap: {url: "https://nyc.example", password: "env:NYC_PASSWORD", svm: svm1}
  fra:
    model: adjacent
    ontap: {url: "https://fra.example", password: "env:FRA_PASSWORD", svm: svm1}
  syd:
    model: cloud
    ontap: {url: "https://syd.example", password: "file:/run/secrets/syd", svm: svm1}
registries:
  main:
    primary: {site: nyc, volume: main, url: "http://nyc.example:5000"}
    replicas:
      - {site: fra, volume: main, url: "http://fra.example:5000"}
      - {site: syd, volume: main, url: "http://syd.example:5000", via: fra}
    notifications: {tokens: ["env:MAIN_TOKEN"]}
  lab:
    prefix: lab/
    primary: {site: fra, volume: lab, url: "http://fra.example:5001"}
    notifications: {tokens: ["env:LAB_TOKEN"]}
"""


def complaints(text: str) -> tuple[str, ...]:
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, "t.yaml")
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} is not there once"
    return GOOD.replace(old, new)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_text_that_the_others_change_is_good() -> None:
    assert set(parse_topology(GOOD, "t.yaml").registries) == {"main", "lab"}


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("    prefix: lab/\n", "    prefix: lab/\n    colour: red\n", "colour", "unknown key registries.lab.colour"),
        ("    model: cloud\n", "    model: cloud\n    'model': cloud\n", "'model'", "model is there twice"),
        ("    model: cloud\n", "", "syd:", "sites.syd.model is missing"),
        ("model: cloud", "model: moon", "model: moon", "Input should be 'on-prem', 'adjacent' or 'cloud'"),
        ("version: 1", "version: 2", "version", "Input should be 1"),
        ("  lab:\n", "  Lab:\n", "Lab:", "registries.Lab: a name is up to 31 lower-case letters"),
        ("  lab:\n", "  5:\n", "5:", "registries.5: Input should be a valid string"),
        ("prefix: lab/", "prefix: lab", "prefix: lab", "each ending with '/'"),
        ("prefix: lab/", "prefix: ''", "prefix: ''", "registries main and lab have the same prefix ''"),
        ("site: fra, volume: lab", "site: fra, volume: main", "5001", "registries main and lab share the volume main"),
        ("site: fra, volume: lab", "site: rio, volume: lab", "rio", "names the site rio, which is not under sites"),
        ("{site: syd,", "{site: fra,", "via: fra", "registry main names the site fra twice"),
        ("via: fra", "via: rio", "via: rio", "syd gets its copy via rio, which is not one of its replicas"),
        ("via: fra", "via: syd", "via: syd", "the cascade of syd comes back to syd"),
        ("via: fra", "via: nyc", "via: nyc", "leave via out"),
        ("https://fra.example", "ftp://fra.example", "ftp", "not an address of the form http(s)://host[:port]"),
        ("https://fra.example", "https://fra.example:65536", "65536", "not an address"),
        ("https://fra.example", "https://fra.example/api", "/api", "not an address"),
        ("svm: svm1}\n  fra", "svm: ''}\n  fra", "svm: ''", "at least 1 character"),
        ('["env:MAIN_TOKEN"]', "[]", "tokens: []", "at least 1 item"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_and_the_reason(old: str, new: str, at: str, says: str) -> None:
    text = changed(old, new)
    found = complaints(text)
    assert any(problem.startswith(f"t.yaml:{line_of(text, at)}: ") and says in problem for problem in found), found


def test_a_cascade_that_goes_round_is_refused_at_each_of_its_members() -> None:
    text = changed('url: "http://fra.example:5000"}', 'url: "http://fra.example:5000", via: syd}')
    assert [problem.partition(": ")[2] for problem in complaints(text)] == [
        "registry main: the cascade of fra comes back to fra",
        "registry main: the cascade of syd comes back to syd",
    ]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("settle: 5", "batching.settle: not a duration"),
        ("settle: 5 parsecs", "batching.settle: not a duration"),
        ("settle: -1s", "batching.settle: not a duration"),
        ("settle: ٣s", "batching.settle: not a duration"),
        ("settle: " + "9" * 400 + "d", "batching.settle: not a duration"),
        ("max_wait: 1s, min_interval: 2s", "max_wait is shorter than min_interval"),
        ("keep: -1", "batching.keep"),
        ("keep: many", "batching.keep"),
        ("keep: '3'", "batching.keep"),
        ("keep: true", "batching.keep"),
        ("urgent: prod/*", "batching.urgent"),
    ],
)
def test_wrong_batching_is_refused(settings: str, says: str) -> None:
    text = changed("    prefix: lab/\n", f"    prefix: lab/\n    batching: {{{settings}}}\n")
    (problem,) = complaints(text)
    assert problem.startswith(f"t.yaml:{line_of(text, 'batching')}: ")
    assert says in problem


@pytest.mark.parametrize("nothing", ["0s", "0ms", "0.0h"])
def test_a_time_out_of_nothing_is_refused(nothing: str) -> None:
    text = changed("svm: svm1}\n  fra", f"svm: svm1, timeout: {nothing}}}\n  fra")
    assert "sites.nyc.ontap.timeout" in complaints(text)[0]


@pytest.mark.parametrize(
    ("platforms", "says"),
    [("[linux]", "platforms.0: a platform is os/architecture"), ("some", "platforms: Input should be 'all'")],
)
def test_wrong_platforms_get_one_complaint(platforms: str, says: str) -> None:
    (problem,) = complaints(
        changed("    prefix: lab/\n", f"    prefix: lab/\n    verification: {{platforms: {platforms}}}\n")
    )
    assert says in problem


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("env:NYC_PASSWORD", SECRET),
        ('"env:NYC_PASSWORD"', f"{{value: {SECRET}}}"),
        ('"env:NYC_PASSWORD"', f"[{SECRET}]"),
        ('"env:NYC_PASSWORD"', f"!{SECRET} x"),
        ('"env:NYC_PASSWORD"', f"*{SECRET}"),
        ('"env:NYC_PASSWORD"', f'"{SECRET}'),
        ('"env:NYC_PASSWORD"', f"a: {SECRET}"),
        ('"env:NYC_PASSWORD"', f"%{SECRET}"),
        ('"env:NYC_PASSWORD"', f'"\\q{SECRET}"'),
        ("env:MAIN_TOKEN", SECRET),
        ("https://nyc.example", f"https://admin:{SECRET}@nyc.example"),
        ("http://nyc.example:5000", f"http://admin:{SECRET}@nyc.example:5000"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(old: str, new: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse_topology(changed(old, new), "t.yaml")
    error: BaseException | None = caught.value
    while error is not None:  # a log of the failure shows its causes too
        assert SECRET not in str(error)
        error = error.__cause__


def test_aliases_are_refused_before_they_are_expanded() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert complaints(f"a0: &a0 [x]\n{levels}") == ("t.yaml:2: aliases (*name) are not allowed",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.yaml:1: the file is empty"),
        ("# only a comment\n", "t.yaml:1: the file is empty"),
        ("- a\n- b\n", "t.yaml:1: Input should be a valid dictionary"),
        ("hello", "t.yaml:1: Input should be a valid dictionary"),
        ("a: 1\n---\na: 2\n", "but found another document"),
        ("version: 1\nsites: [\n", "t.yaml:3: "),
        ("version: 1\nx: \x01\n", "t.yaml:2: a character that YAML doesn't allow"),
        ("version: 1\n? [a]\n: b\n", "t.yaml:2: a key has to be a word"),
        ("version: 1\nx: !!python/object:os.system ls\n", "t.yaml:2: tags (!name) are not allowed"),
        ("version: 1\n<<: {a: b}\n", "t.yaml:2: unknown key <<"),
        ("[" * 100_000, "t.yaml:1: nested too deep"),
        ("".join(f"{' ' * n}a:\n" for n in range(300)), "t.yaml:20: nested too deep"),
        ("x: " + "9" * 10_000, "unknown key x"),
        ("x: 2024-13-45", "unknown key x"),
    ],
)
def test_what_is_no_topology_at_all_is_refused_with_a_line(text: str, says: str) -> None:
    assert any(says in problem for problem in complaints(text))


def test_what_yaml_reads_as_truth_values_numbers_and_dates_stays_a_name() -> None:
    text = GOOD.replace("fra:", "no:").replace("site: fra", "site: no").replace("via: fra", "via: no")
    text = text.replace("volume: main", "volume: 2024-01-01").replace("volume: lab", "volume: 1:30")
    topology = parse_topology(text, "t.yaml")
    assert "no" in topology.sites
    assert topology.registries["main"].primary.volume == "2024-01-01"
    assert topology.registries["lab"].primary.volume == "1:30"


def test_many_mistakes_are_counted_not_listed() -> None:
    found = complaints(GOOD + "".join(f"key{number}: x\n" for number in range(500)))
    assert len(found) == 51
    assert found[-1] == "and 450 more"


def test_a_file_that_cant_be_read_is_refused(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "missing.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (Path("/dev/zero"), "larger than"),
    ):
        with pytest.raises(TopologyError, match=says):
            load_topology(path)


def test_a_binary_file_is_refused_at_the_line_of_its_first_wrong_byte(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"version: 1\nsites: \xff\xfe\n")
    with pytest.raises(TopologyError) as caught:
        load_topology(path)
    assert caught.value.problems == (f"{path}:2: not UTF-8 at byte 18",)


def test_a_huge_file_is_refused_without_being_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_text(GOOD + "# a comment that makes a good file too long\n" * (MAX_BYTES // 40))
    with pytest.raises(TopologyError, match="larger than"):
        load_topology(path)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_a_topology_or_a_topology_error_with_its_place(text: str) -> None:
    assert all(problem.startswith("t.yaml:") for problem in complaints(text))


PIECES = [
    *(
        "version",
        "sites",
        "nyc",
        ":",
        " ",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        '"',
        "&a",
        "*a",
        "!!int",
        "|",
    ),
    *("0", "0x1", "1e9", "2024-13-45", "~", "?", "<<", "%YAML 1.1", "---", "...", "null", "#", "\t", "\\", "@", "`"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_arrangement_of_yaml_is_a_topology_or_a_topology_error(text: str) -> None:
    assert all(problem.startswith("t.yaml:") for problem in complaints(text))


@given(st.integers(0, len(GOOD) - 1), st.text(max_size=3))
def test_a_good_file_with_a_slip_never_fails_in_another_way(place: int, slip: str) -> None:
    text = GOOD[:place] + slip + GOOD[place + 1 :]
    with contextlib.suppress(TopologyError):
        parse_topology(text, "t.yaml")
