"""docs/install.md: its commands are run with its files, in its order, but for those that it says nothing runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from charts import program
from documents import DOCS, ROOT, fences, rows, section
from kubernetes_api import KubernetesApi

pytestmark = pytest.mark.integration

TEXT = (DOCS / "install.md").read_text()
NOT_RUN = tuple(cells[0].strip("`").removesuffix("…") for cells in rows(section(TEXT, "## What no test runs"))[1:])
FILES = ("hub.yaml", "topology.yaml", "fra.yaml")


def commands() -> list[str]:
    joined = "\n".join(text for language, text in fences(TEXT) if language == "sh").replace("\\\n", " ")
    return [line for line in joined.splitlines() if line]


def test_only_what_the_document_lists_is_not_run() -> None:
    assert all(any(line.startswith(start) for line in commands()) for start in NOT_RUN)


def test_what_one_types_works(api: KubernetesApi, tmp_path: Path) -> None:
    kubectl, openssl = shutil.which("kubectl"), shutil.which("openssl")
    if kubectl is None or openssl is None:
        pytest.skip("kubectl and openssl are not here: install them")
    for name, (_, content) in zip(FILES, (one for one in fences(TEXT) if one[0] == "yaml"), strict=True):
        assert f"`{name}`" in TEXT
        (tmp_path / name).write_text(content)
    for name in ("helm", "docs", ".venv"):
        (tmp_path / name).symlink_to(ROOT / name)
    request = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "tls.key")
    subprocess.run([openssl, *request, "-out", "tls.crt"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    shutil.copy(tmp_path / "tls.crt", tmp_path / "ca.crt")

    script = "\n".join(line for line in commands() if not line.startswith(NOT_RUN))
    answer = subprocess.run(
        ["bash", "-euxc", script],
        cwd=tmp_path,
        env={
            **os.environ,
            "KUBECONFIG": str(api.kubeconfig),
            "PATH": f"{program('helm').parent}:{Path(kubectl).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    for language, seen in fences(TEXT):
        if language == "text" and "can't work" not in seen:
            assert " ".join(seen.split()) in " ".join(answer.stdout.split()), answer.stdout
