"""docs/ontap-role.md lists the calls and privileges of the code."""

from documents import DOCS, rows, section

from farshore.ontap.role import METHODS, SERVICES, SETUP, AccessLevel, Call, commands, privileges

PAGE = (DOCS / "ontap-role.md").read_text()


def told_calls(heading: str) -> set[Call]:
    table = rows(section(PAGE, heading))
    return {(method, path.strip("`")) for path, methods in table[1:] for method in methods.split(", ")}


def told_commands(heading: str) -> list[str]:
    lines = (line.strip() for line in section(PAGE, heading).splitlines())
    return [line for line in lines if line.startswith("security login rest-role")]


def test_every_call_and_every_privilege_is_told() -> None:
    assert told_calls("## For the services") == SERVICES
    assert told_calls("## For commands") == SETUP
    assert told_commands("## For the services") == commands("farshore", SERVICES)
    assert told_commands("## For commands") == commands("farshore-setup", SERVICES | SETUP)


def test_a_privilege_is_the_least_that_allows_its_calls() -> None:
    assert privileges([("GET", "/api/a"), ("POST", "/api/a/{uuid}/b")]) == {"/api/a": AccessLevel.READ_CREATE}
    assert privileges([("PATCH", "/api/a/{uuid}")]) == {"/api/a": AccessLevel.READ_MODIFY}
    assert privileges([("DELETE", "/api/a/{uuid}")]) == {"/api/a": AccessLevel.ALL}
    snapshots = "/api/storage/volumes/{uuid}/snapshots"
    assert privileges([("GET", "/api/storage/volumes"), ("DELETE", f"{snapshots}/{{uuid}}")]) == {
        "/api/storage/volumes": AccessLevel.READONLY,
        "/api/storage/volumes/*/snapshots": AccessLevel.ALL,
    }
    assert list(METHODS) == list(AccessLevel)
