"""Wires the receiver: one process, or several behind one port and one that looks after them."""

import sys

from farshore.service import Service, serve_http, service_main
from farshore.together import together
from farshore_receiver.serve import receive
from farshore_receiver.settings import ReceiverSettings, read_receiver_settings
from farshore_receiver.tokens import check_tokens
from farshore_receiver.worker import WORKER, work
from farshore_receiver.workers import look_after_workers


async def run(service: Service) -> None:
    """Serve until the service stops."""
    settings = read_receiver_settings()
    if WORKER in sys.argv[1:]:
        await work(service, settings)
    elif settings.workers > 1:
        await look_after_workers(service, settings)
    else:
        await _serve_alone(service, settings)


async def _serve_alone(service: Service, settings: ReceiverSettings) -> None:
    def report(ready: bool) -> None:
        service.ready = ready

    await together(serve_http(service, listen=settings.management_listen), receive(service, settings, report))


main = service_main("farshore-receiver", run, own_settings=read_receiver_settings, needs=check_tokens)

if __name__ == "__main__":
    main()
