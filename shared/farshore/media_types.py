"""Media types of manifests: OCI image specification 1.1 and Docker's schema 2.

Docker's schema 1 is left out on purpose: its digest isn't the hash of the bytes served, so it can't be proved.
"""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
"""Of the OCI 1.1 release candidates; some tools still push it."""
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST, OCI_ARTIFACT})
MANIFEST_TYPES = INDEX_TYPES | IMAGE_TYPES
