"""What `farshore check` shows."""

from rich.console import Console

from farshore.errors import FarshoreError
from farshore_cli.check.finding import Finding, findings_json, findings_table

FINE = Finding("registry main at nyc", detail="answered 200")
WRONG = Finding.of("edge of fra", FarshoreError("reach", "http://edge", "it answered 500", hint="start nginx"))


def test_a_wrong_finding_says_what_is_wrong_and_what_to_do() -> None:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(findings_table([FINE, WRONG]))
    assert "WRONG  edge of fra" in capture.get()
    assert "it answered 500" in capture.get()
    assert "start nginx" in capture.get()


def test_one_wrong_finding_is_enough() -> None:
    assert findings_json("t.yaml", [FINE])["ok"] is True
    document = findings_json("t.yaml", [FINE, WRONG])
    assert document["ok"] is False
    assert [finding["ok"] for finding in document["findings"]] == [True, False]
