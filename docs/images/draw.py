"""Draws the picture of the data path, once for light and once for dark pages: `python docs/images/draw.py`.

GitHub follows the reader's theme only by `<picture>`, so there is a file for each; both come from this one drawing.
"""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1000, 540
FONT = "ui-sans-serif, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace"


@dataclass(frozen=True)
class Palette:
    """The colours of one theme."""

    page: str
    text: str
    muted: str
    line: str
    site: str
    box: str
    service: str
    service_line: str
    kafka: str
    topic: str
    storage: str
    storage_line: str
    badge: str
    badge_text: str


LIGHT = Palette(
    page="#ffffff",
    text="#1f2328",
    muted="#59636e",
    line="#59636e",
    site="#f6f8fa",
    box="#ffffff",
    service="#ddf4ff",
    service_line="#0969da",
    kafka="#fff8e5",
    topic="#ffffff",
    storage="#dafbe1",
    storage_line="#1a7f37",
    badge="#1f2328",
    badge_text="#ffffff",
)
DARK = Palette(
    page="#0d1117",
    text="#e6edf3",
    muted="#9198a1",
    line="#9198a1",
    site="#151b23",
    box="#0d1117",
    service="#0c2d4f",
    service_line="#4493f8",
    kafka="#2b2411",
    topic="#0d1117",
    storage="#10301a",
    storage_line="#3fb950",
    badge="#e6edf3",
    badge_text="#0d1117",
)


class Drawing:
    """Collects the shapes of one picture."""

    def __init__(self, colours: Palette) -> None:
        self.colours = colours
        self.shapes: list[str] = []

    def box(self, x: int, y: int, w: int, h: int, fill: str, line: str, *, dashed: bool = False) -> None:
        """A rounded rectangle."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.shapes.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="9" fill="{fill}" stroke="{line}" '
            f'stroke-width="1.4"{dash}/>'
        )

    def text(
        self, x: int, y: int, words: str, *, size: int = 14, colour: str = "", bold: bool = False, mono: bool = False
    ) -> None:
        """One centred line."""
        weight = ' font-weight="600"' if bold else ""
        family = f' font-family="{MONO}"' if mono else ""
        fill = colour or self.colours.text
        self.shapes.append(f'<text x="{x}" y="{y}" font-size="{size}" fill="{fill}"{weight}{family}>{words}</text>')

    def arrow(self, path: str, *, colour: str = "", wide: bool = False) -> None:
        """A line with a head at its end."""
        head = "wide" if wide else "head"
        self.shapes.append(
            f'<path d="{path}" fill="none" stroke="{colour or self.colours.line}" '
            f'stroke-width="{5 if wide else 1.7}" marker-end="url(#{head})"/>'
        )

    def badge(self, x: int, y: int, number: int) -> None:
        """The number of a step."""
        self.shapes.append(f'<circle cx="{x}" cy="{y}" r="10" fill="{self.colours.badge}"/>')
        self.text(x, y + 4, str(number), size=12, colour=self.colours.badge_text, bold=True)

    def label(self, x: int, y: int, words: str) -> None:
        """A muted remark beside an arrow."""
        self.text(x, y, words, size=12, colour=self.colours.muted)

    def svg(self) -> str:
        """The whole file."""
        c = self.colours
        markers = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="{ref}" refY="5" markerWidth="{size}" markerHeight="{size}" '
            f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{fill}"/></marker>'
            for name, ref, size, fill in (("head", 9, 6, c.line), ("wide", 4, 3, c.storage_line))
        )
        body = "\n".join(self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'font-family="{FONT}" text-anchor="middle" role="img" aria-labelledby="t d">\n'
            '<title id="t">How a push becomes readiness</title>\n'
            '<desc id="d">A push at the primary site is notified to the receiver, becomes an event in Kafka, one of few'
            " SnapMirror transfers to the other sites, an arrival, and after verification at the site a readiness "
            "record.</desc>\n"
            f"<defs>{markers}</defs>\n"
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="{c.page}"/>\n{body}\n</svg>\n'
        )


def draw(colours: Palette) -> str:
    """The data path in these colours."""
    d = Drawing(colours)
    c = colours

    # Kafka and its topics
    d.box(300, 26, 674, 92, c.kafka, c.line)
    d.text(340, 50, "Kafka", bold=True)
    for x, name in ((320, "farshore.events"), (536, "farshore.arrivals"), (752, "farshore.readiness")):
        d.box(x, 64, 176, 38, c.topic, c.line)
        d.text(x + 88, 88, name, size=13, mono=True)

    # services
    for x, w, name in ((318, 124, "receiver"), (470, 136, "coalescer"), (674, 124, "verifier")):
        d.box(x, 184, w, 52, c.service, c.service_line)
        d.text(x + w // 2, 215, name, bold=True)
    d.box(848, 184, 126, 52, c.box, c.line, dashed=True)
    d.text(911, 215, "your consumers")

    # the primary site
    d.box(26, 130, 220, 384, c.site, c.line)
    d.text(136, 500, "nyc, the primary", size=13, colour=c.muted)
    d.box(66, 26, 140, 44, c.box, c.line, dashed=True)
    d.text(136, 53, "docker push", size=13, mono=True)
    d.box(56, 160, 160, 46, c.box, c.line)
    d.text(136, 188, "edge (nginx)")
    d.box(56, 258, 160, 46, c.box, c.line)
    d.text(136, 286, "registry")
    d.box(56, 402, 160, 62, c.storage, c.storage_line)
    d.text(136, 428, "ONTAP volume", bold=True)
    d.text(136, 448, "snapshots carry the cursor", size=11, colour=c.muted)

    # the replica sites
    d.box(428, 346, 546, 168, c.site, c.line)
    d.box(416, 334, 546, 168, c.site, c.line)
    d.text(689, 488, "fra, syd and others: a volume, a read-only registry and an edge at each", size=13, colour=c.muted)
    d.box(436, 402, 156, 62, c.storage, c.storage_line)
    d.text(514, 428, "ONTAP volume", bold=True)
    d.text(514, 448, "exported snapshot", size=11, colour=c.muted)
    d.box(650, 402, 130, 62, c.box, c.line)
    d.text(715, 428, "registry")
    d.text(715, 448, "read-only", size=11, colour=c.muted)
    d.box(826, 402, 118, 62, c.box, c.line)
    d.text(885, 428, "edge (nginx)")
    d.text(885, 448, "serves docker pull", size=11, colour=c.muted)

    # arrows
    d.arrow("M136 70 V158")
    d.arrow("M136 206 V256")
    d.arrow("M136 304 V400")
    d.arrow("M216 281 C 290 281, 262 210, 316 210")
    d.arrow("M380 184 V104")
    d.arrow("M464 102 C 490 130, 505 150, 518 182")
    d.arrow("M498 236 C 470 320, 360 330, 218 418")
    d.arrow("M540 236 C 545 300, 530 350, 520 400")
    d.arrow("M218 446 H424", colour=c.storage_line, wide=True)
    d.arrow("M566 184 C 575 150, 590 130, 604 104")
    d.arrow("M664 102 C 690 130, 705 150, 718 182")
    d.arrow("M738 236 C 742 300, 726 350, 718 400")
    d.arrow("M762 184 C 780 150, 800 130, 820 104")
    d.arrow("M888 102 V182")
    d.arrow("M592 433 H648")
    d.arrow("M780 433 H824")

    # steps
    d.badge(136, 104, 1)
    d.badge(258, 252, 2)
    d.label(292, 282, "notification")
    d.badge(380, 146, 3)
    d.badge(336, 356, 4)
    d.label(312, 334, "snapshot")
    d.badge(331, 446, 5)
    d.label(331, 474, "SnapMirror moves")
    d.label(331, 490, "changed blocks")
    d.label(590, 300, "transfer")
    d.badge(581, 146, 6)
    d.badge(736, 288, 7)
    d.label(806, 292, "reads and hashes")
    d.badge(788, 146, 8)
    return d.svg()


if __name__ == "__main__":
    for theme, palette in (("light", LIGHT), ("dark", DARK)):
        (HERE / f"data-path-{theme}.svg").write_text(draw(palette), encoding="utf-8")
