"""The receiver's own encoder writes what the shared one does, byte for byte."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from farshore.oci import Digest, Repository, Tag
from farshore.records.events import Event, EventKind
from farshore_receiver.encode import encode

DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(f"sha256:{raw.hex()}"))
TIMES = st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]))


@given(
    kind=st.sampled_from(EventKind),
    registry=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
    repository=st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}", fullmatch=True).map(Repository),
    digest=DIGESTS,
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True).map(Tag),
    size=st.none() | st.integers(min_value=0, max_value=2**63 - 1),
    times=st.tuples(TIMES, TIMES),
    traceparent=st.none() | st.text(st.characters(codec="ascii"), max_size=60),
)
def test_the_record_is_that_of_the_cloudevent(
    kind: EventKind,
    registry: str,
    repository: Repository,
    digest: Digest,
    tag: Tag | None,
    size: int | None,
    times: tuple[datetime, datetime],
    traceparent: str | None,
) -> None:
    event = Event(
        id="0-1",
        kind=kind,
        registry=registry,
        repository=repository,
        digest=digest,
        tag=tag or (Tag("v1") if kind is EventKind.TAG_DELETED else None),
        media_type="a/b",
        size=size,
        occurred_at=times[0],
        accepted_at=times[1],
    )
    cloudevent = event.to_cloudevent(traceparent=traceparent)
    assert encode(event, traceparent) == (cloudevent.data, cloudevent.headers())
