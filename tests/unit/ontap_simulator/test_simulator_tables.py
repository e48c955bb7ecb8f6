"""Tables of snapshots, and the frames that carry them."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farshore_ontap_simulator.data.table import (
    DIRECTORY,
    FILE,
    HASH_BYTES,
    SYMLINK,
    Entry,
    block_hash,
    check_entries,
    decode_chunk,
    encode_chunks,
)
from farshore_ontap_simulator.transfer import frames, messages
from farshore_ontap_simulator.transfer.frames import Kind, ProtocolError
from farshore_ontap_simulator.transfer.link import Limits, Pipe

ENTRIES = st.lists(
    st.builds(
        Entry,
        st.binary(min_size=1, max_size=40),
        st.sampled_from([FILE, DIRECTORY, SYMLINK]),
        st.integers(0, 0o7777),
        st.integers(0, 1 << 50),
        st.integers(-(1 << 40), 1 << 62),
        st.binary(max_size=64),
    ),
    max_size=60,
)


def file(path: str, number: int = 0) -> Entry:
    return Entry(path.encode(), FILE, 0o644, 1, number, bytes(HASH_BYTES))


@given(ENTRIES)
def test_chunks_hold_their_entries(entries: list[Entry]) -> None:
    chunks = list(encode_chunks(entries))
    assert [entry for _, data in chunks for entry in decode_chunk(data)] == entries
    assert all(name == block_hash(data) for name, data in chunks)


def test_a_change_touches_one_chunk_of_many() -> None:
    entries = [file(f"{number:06d}") for number in range(5000)]
    before = {name for name, _ in encode_chunks(entries)}
    entries[2500] = file("002500", 7)
    after = {name for name, _ in encode_chunks(entries)}
    assert len(before) > 10
    assert len(after - before) == 1


def test_an_added_path_touches_one_chunk_of_many() -> None:
    entries = [file(f"{number:06d}") for number in range(5000)]
    before = {name for name, _ in encode_chunks(entries)}
    entries.insert(2500, file("002499x"))
    assert len({name for name, _ in encode_chunks(entries)} - before) <= 2


@given(st.binary(min_size=1, max_size=30))
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="truncated"):
        decode_chunk(data + b"\xff" * 27)


@pytest.mark.parametrize("path", [b"", b"/etc/passwd", b"../up", b"a/../b", b"a//b", b"a/./b", b"nul\0", b"a/"])
def test_a_path_out_of_the_tree_is_refused(path: bytes) -> None:
    with pytest.raises(ValueError, match="unsafe"):
        check_entries([Entry(path, DIRECTORY, 0, 0, 0, b"")])


def test_a_file_with_too_few_hashes_is_refused() -> None:
    with pytest.raises(ValueError, match="number of blocks"):
        check_entries([Entry(b"a", FILE, 0, 4097, 0, bytes(HASH_BYTES))])


@pytest.mark.parametrize("compress", [True, False])
def test_blocks_come_back_as_they_were_wanted(compress: bool) -> None:
    blocks = [b"a" * 4096, os.urandom(4096), b"short", b""]
    wanted = [block_hash(block) for block in blocks]
    payload = frames.pack_blocks(blocks, compress)
    assert frames.parse_blocks(payload, wanted) == list(zip(wanted, blocks, strict=True))


def test_a_block_that_was_changed_on_the_way_is_refused() -> None:
    payload = bytearray(frames.pack_blocks([b"x" * 4096], compress=False))
    payload[-1] ^= 1
    with pytest.raises(ProtocolError, match="match"):
        frames.parse_blocks(bytes(payload), [block_hash(b"x" * 4096)])


def test_another_number_of_blocks_is_refused() -> None:
    with pytest.raises(ProtocolError, match="number"):
        frames.parse_blocks(frames.pack_blocks([b"x"], compress=False), [])


def test_chunks_prove_themselves() -> None:
    chunks = list(encode_chunks([file("a"), file("b")]))
    assert frames.parse_chunks(frames.pack_chunks(chunks)) == chunks
    with pytest.raises(ProtocolError, match="match"):
        frames.parse_chunks(frames.pack_chunks([(bytes(16), b"other")]))


@given(st.binary(max_size=200))
def test_garbage_is_refused_not_believed(payload: bytes) -> None:
    for parse in (
        frames.parse_chunks,
        lambda data: frames.parse_blocks(data, [bytes(16)]),
        lambda data: messages.parse_request(frames.parse_control(data)),
    ):
        with pytest.raises(ProtocolError):
            parse(payload)


def test_frames_are_bounded() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(frames.control({"op": "x"}))
        assert frames.receive(right) == (Kind.CONTROL, b'{"op":"x"}')
        left.sendall(b"\xff\xff\xff\xff\x01")
        with pytest.raises(ProtocolError, match="too large"):
            frames.receive(right)
        left.sendall(b"\0\0\0\0\x63")
        with pytest.raises(ProtocolError, match="unknown kind"):
            frames.receive(right)
        left.close()
        with pytest.raises(ConnectionError):
            frames.receive(right)


def test_both_ends_of_a_link_may_limit_it() -> None:
    slow, far = Limits(0.0, 100.0), Limits(0.03, 500.0)
    assert slow.tightened(far) == Limits(0.03, 100.0)
    assert Limits().tightened(slow) == slow


def test_a_pipe_is_shared_in_turns() -> None:
    pipe = Pipe()
    assert pipe.occupy(100, 100.0, now=10.0) == 11.0
    assert pipe.occupy(50, 100.0, now=10.2) == 11.5
    assert pipe.occupy(1, 0.0, now=20.0) == 20.0
