"""Strategies of valid names, after the grammars of the OCI specifications."""

from hypothesis import strategies as st

_words = st.text("abcxyz019", min_size=1, max_size=6)
_separators = st.sampled_from([".", "_", "__", "-", "--", "-----"])


@st.composite
def components(draw: st.DrawFn) -> str:
    text = draw(_words)
    for _ in range(draw(st.integers(0, 3))):
        text += draw(_separators) + draw(_words)
    return text


repositories = st.lists(components(), min_size=1, max_size=4).map("/".join)
tags = st.from_regex(r"\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
digests = st.sampled_from([("sha256", 64), ("sha512", 128)]).flatmap(
    lambda kind: st.text("0123456789abcdef", min_size=kind[1], max_size=kind[1]).map(lambda hex_: f"{kind[0]}:{hex_}")
)
