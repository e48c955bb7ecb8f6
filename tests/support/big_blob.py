"""A layer of 1 GiB that takes up 4 MB on disk: a sparse file with a mark of its own in every MiB."""

from pathlib import Path

from registry_process import blob_file

from farshore.oci import Digest

SIZE = 1 << 30
DIGEST = Digest("sha256:c913459f8f93299eab6904c97faf82ddd71bc87f517e1ec7876bb0330613cca3")
_MARKS = 1024


def put_big_blob(root: Path, repository: str) -> None:
    """Put the layer into the `repository` of a registry over `root`, as distribution keeps it."""
    draft = root / "big"
    root.mkdir(parents=True, exist_ok=True)
    with draft.open("wb") as file:
        for number in range(_MARKS):
            file.seek(number * (SIZE // _MARKS))
            file.write(f"mark {number}".encode())
        file.truncate(SIZE)
    data = blob_file(root, DIGEST)
    data.parent.mkdir(parents=True)
    draft.rename(data)
    link = root / "docker/registry/v2/repositories" / repository / "_layers" / DIGEST.algorithm / DIGEST.hex / "link"
    link.parent.mkdir(parents=True)
    link.write_text(DIGEST)
