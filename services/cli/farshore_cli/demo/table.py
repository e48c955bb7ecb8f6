"""The demo's tables. Pure: rows in, rich renderables out."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from farshore_cli.demo.observations import Fate
from farshore_cli.demo.proof import Proof
from farshore_cli.demo.report import Row, Totals

_STYLES = {"ready": "green", "superseded": "cyan", "revoked": "magenta"}


def images_table(rows: Sequence[Row]) -> Table:
    """A line for each push and site: the transfer that brought it, and seconds from the push to each step."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image", overflow="fold")
    for heading in ("site", "pushed", "transfer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("arrived", "to ready"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verified", no_wrap=True)
    for row in rows:
        name = _name(row)
        for site, fate in row.fates.items():
            pushed = fate.pushed_at.astimezone().strftime("%H:%M:%S") if fate.pushed_at else ""
            table.add_row(name, site, pushed, (fate.transfer or "")[:8], _arrived(fate), _ready(fate), _state(fate))
            name = ""
    return table


def live_table(rows: Sequence[Row], sites: Sequence[str]) -> Table:
    """A line for each push: how it stands at each site."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("image", *sites):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        cells = [_state(row.fates[site]).append(f" {_ready(row.fates[site])}") for site in sites]
        table.add_row(_name(row), *cells)
    return table


def _name(row: Row) -> str:
    push = row.push
    return push.reference if push.tag else f"{push.repository}@{push.digest[7:15]}"


def _state(fate: Fate) -> Text:
    state = fate.state or ("arrived" if fate.arrived_at else "")
    return Text(state, style=_STYLES.get(state, "yellow"))


def _arrived(fate: Fate) -> str:
    if fate.arrived_at is None or fate.pushed_at is None:
        return ""
    return _seconds((fate.arrived_at - fate.pushed_at).total_seconds())


def _ready(fate: Fate) -> str:
    return "" if fate.seconds_to_ready is None else _seconds(fate.seconds_to_ready)


def totals_table(pushes: int, totals: Totals, proof: Proof, seconds: float) -> Table:
    """The totals, one a line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    lines = [
        ("pushes", str(pushes), "by skopeo, through the edge of the primary"),
        ("transfers", str(totals.transfers), "SnapMirror, to all replicas together"),
        ("snapshots", str(totals.snapshots), "taken at the primary"),
        ("logical bytes", _size(totals.logical_bytes), "changed 4 KiB blocks that the transfers brought"),
        ("wire bytes", _size(totals.wire_bytes), "that crossed the links for them, compressed"),
        ("skopeo bytes", _size(totals.skopeo_bytes), "moved by skopeo copy, same images, same sites"),
        ("at rest, logical", _size(totals.at_rest_logical_bytes), "files at all three sites"),
        ("at rest, physical", _size(totals.at_rest_physical_bytes), "deduplicated, compressed, snapshots included"),
        ("proof", f"{proof.matched}/{proof.expected}", "pulled without the primary's registry, and equal"),
        ("seconds", f"{seconds:.1f}", "for all of this"),
    ]
    for line in lines:
        table.add_row(*line)
    return table


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _size(count: int) -> str:
    return f"{count / 1_000_000:,.1f} MB"
