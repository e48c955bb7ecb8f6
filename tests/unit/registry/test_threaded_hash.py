"""The hash of a stream doesn't depend on how it is cut, nor on threads."""

import hashlib
import os

import pytest

from farshore.registry.threaded_hash import STRETCH_BYTES, ThreadedHash


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [1],
        [STRETCH_BYTES - 1, 1],
        [STRETCH_BYTES],
        [STRETCH_BYTES + 1, STRETCH_BYTES * 3, 5],
        [65_536] * 100,
    ],
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_it_is_the_hash_of_all_that_was_added_in_order(sizes: list[int], algorithm: str) -> None:
    chunks = [os.urandom(size) for size in sizes]
    hashing = ThreadedHash(algorithm)
    for chunk in chunks:
        await hashing.add(chunk)
    assert await hashing.finish() == hashlib.new(algorithm, b"".join(chunks)).hexdigest()
