"""Asks the target's registry what it has of the images that were announced behind the cover."""

import asyncio

from farshore.oci import Digest
from farshore.records.events import Event
from farshore.registry import RegistryClient
from farshore.registry.errors import ContentNotFoundError
from farshore.topology import Place

AT_ONCE = 16
SECONDS = 10.0


async def ask_for(place: Place, events: list[Event]) -> dict[str, Digest | None]:
    """By image: the digest that the registry at `place` has under its name, None where it says that it has nothing.

    Raises FarshoreError where it gives no certain answer: what isn't known is neither lost nor there.
    """
    turn = asyncio.Semaphore(AT_ONCE)
    async with RegistryClient(place.url, timeout_seconds=SECONDS, ca_file=place.ca_file) as client:

        async def ask(event: Event) -> Digest | None:
            async with turn:
                try:
                    return await client.manifest_digest(event.repository, str(event.tag or event.digest))
                except ContentNotFoundError:
                    return None

        answers = await asyncio.gather(*map(ask, events))
    return {event.image: answer for event, answer in zip(events, answers, strict=True)}
