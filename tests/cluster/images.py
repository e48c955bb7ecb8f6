"""Builds the images that the chart runs, and one that holds pods' namespaces, into an archive: in the namespaces of
make test-cluster there is no network to build with.

Run `python tests/cluster/images.py ARCHIVE`. `FARSHORE_IMAGES_BASE` names a base that can be pulled.
"""

import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from container_images import Images, image_name
from kubernetes_node import SANDBOX

from farshore_cli.tools.cache import cache_dir

TARGETS = ("receiver", "coalescer", "verifier", "reconciler", "edge", "cli")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    images = Images.below(cache_dir() / "images", os.environ.get("FARSHORE_IMAGES_BASE"))
    for target in TARGETS:
        images.build(target)
    images.on_base(SANDBOX, "sleep", "infinity")
    images.save(Path(sys.argv[1]), SANDBOX, *map(image_name, TARGETS))
