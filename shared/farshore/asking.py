"""HTTP for those who ask a process what it does at this moment."""

import aiohttp


def asking_session(answer_within_seconds: float) -> aiohttp.ClientSession:
    """A session that has a new connection for each request: one that is kept would be answered by a worker of nginx
    that was there before a reload."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=answer_within_seconds)
    )
