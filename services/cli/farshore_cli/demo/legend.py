"""What a stranger needs to read the demo's table. Pure."""

from collections.abc import Sequence

from farshore_cli.demo.report import Row
from farshore_cli.stack.layout import Link, SitePlan

_STATES = {
    "superseded": "its tag moved on before the site had looked at it; that is fine",
    "revoked": "deleted at the end, and no longer served there; its times are those of its push",
}


def legend(rows: Sequence[Row], replicas: Sequence[SitePlan]) -> list[str]:
    """One line for each thing in the table of `rows` that its headings don't say."""
    seen = {fate.state for row in rows for fate in row.fates.values()}
    return [
        "arrived: from the push until the site exports it; to ready: until it is verified there",
        *(_slow(site) for site in replicas if site.link != Link()),
        *(f"{state}: {meaning}" for state, meaning in _STATES.items() if state in seen),
    ]


def _slow(site: SitePlan) -> str:
    link = site.link
    return (
        f"{site.name}: behind a simulated link of {link.latency_ms:g} ms each way"
        f" and {link.megabits_per_second:g} Mbit/s, so it takes longer"
    )
