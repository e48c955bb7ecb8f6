"""How commands are told which image is meant."""

from typing import Annotated

import typer

from farshore.topology import Topology
from farshore_cli.images.wanted import Wanted, registry_of


def image_of(text: str) -> Wanted:
    """Parses an argument that names an image."""
    try:
        return Wanted.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Image = Annotated[
    Wanted,
    typer.Argument(
        parser=image_of, metavar="IMAGE", help="repository:tag, repository@digest or both.", show_default=False
    ),
]


def chosen_registry(topology: Topology, image: Wanted) -> str:
    """The registry that holds it; a wrong usage where none does."""
    found = registry_of(topology, image.repository)
    if found is None:
        raise typer.BadParameter(f"no registry of the topology holds {image.repository}", param_hint="IMAGE")
    return found
