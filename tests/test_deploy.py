"""What deploy/ holds: scripts run, here without a batch system; profiles and options are real."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
import yaml  # type: ignore[import-untyped]
import zarr

from nbdask.cli.main import SUBCOMMANDS
from nbdask.cluster.jobs import job_script
from nbdask.cluster.options import JobOptions
from nbdask.cluster.parse import parse_cluster
from nbdask.cluster.spec import QUEUES
from tests.cluster.pools import slow_workers, tiles_done
from tests.helpers import PATIENCE, ROOT, wait_until

DEPLOY = ROOT / "deploy"
SCRIPT = DEPLOY / "slurm-single-node.sh"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
RECIPES = [*SCRIPTS, DEPLOY / "Dockerfile", DEPLOY / "nbdask.def", DEPLOY / "kubernetes.yaml"]
RECIPES += sorted((DEPLOY / "dask").glob("*.yaml"))
#: Programs of dask -> the module that holds the click command.
DASK = {
    "dask_worker": "distributed.cli.dask_worker",
    "dask_scheduler": "distributed.cli.dask_scheduler",
}
FLAGS = "-cell 70 -default_F 10 -N 5 -detpixels 16 -pixel 1 -oversample 1 --backend numpy"


@pytest.mark.long
def test_single_node_script(tmp_path: Path) -> None:
    """All words reach `nbdask simulate`, threads and memory come from Slurm's variables."""
    command = tmp_path / "bin" / "nbdask"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\necho "$*" >> "{tmp_path}/calls"\nexec "{sys.executable}" -m nbdask "$@"\n'
    )
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_MEM_PER_NODE": "4096",
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        ["bash", str(SCRIPT), "--out", str(tmp_path / "a run.zarr"), *FLAGS.split()],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("simulate --cluster threads --threads 2 --memory-limit 3276MiB --out")
    assert zarr.open_array(tmp_path / "a run.zarr" / "image", mode="r").shape == (16, 16)


@pytest.mark.long
def test_array_script(tmp_path: Path) -> None:
    """Each job of the array takes the shard of its number; the last one closes the store."""
    command = tmp_path / "bin" / "nbdask"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nbdask "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NBDASK_SHARDS": "3",
        "SLURM_MEM_PER_NODE": "4096",
        "TMPDIR": str(tmp_path),
    }
    said = []
    for number in (None, "2", "1", "3"):
        more: dict[str, str] = {} if number is None else {"SLURM_ARRAY_TASK_ID": number}
        words = ["--out", str(tmp_path / "a run.zarr"), *FLAGS.split(), "--tile", "8"]
        done = subprocess.run(
            ["bash", str(DEPLOY / "slurm-array.sh"), *words],
            env=environment | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (1 if number is None else 0), done.stderr
        said.append(done.stderr if number is None else done.stdout)
    assert "SLURM_ARRAY_TASK_ID: is set by a job array" in said[0]
    assert "shard 2/3: 2 tiles computed" in said[1]
    assert said[-1].endswith("; the store is complete\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_syntax(script: Path) -> None:
    """Every script is executable, strict, and is one that bash understands."""
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()


@pytest.mark.parametrize("name", ["slurm-single-node.sh", "slurm-one-job.sh", "slurm-array.sh"])
def test_batch_directives_come_before_the_first_command(name: str) -> None:
    """Slurm stops reading them there."""
    lines = (DEPLOY / name).read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    directives = [i for i, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert len(directives) >= 4
    assert max(directives) < first


def options_of(module: str, name: str) -> set[str]:
    """All option names of a click command."""
    command = getattr(importlib.import_module(module), name)
    return {option for param in command.params for option in (*param.opts, *param.secondary_opts)}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_options_exist(path: Path) -> None:
    """Every option given to nbdask or to dask's programs is one that they have."""
    text = re.sub(r"\\\n\s*", " ", path.read_text())
    wrong = []
    for found in re.finditer(r"nbdask (\w+) ([^\n]*)", text):
        name, argv = found.groups()
        if name in SUBCOMMANDS:
            known = options_of(f"nbdask.cli.{name}", "command")
            wrong += [w for w in re.findall(r"(?<!\S)--[a-z][\w-]*", argv) if w not in known]
    for found in re.finditer(r"distributed\.cli\.(dask_\w+) ([^\n]*)", text):
        known = options_of(DASK[found[1]], "main")
        wrong += [w for w in re.findall(r"(?<!\S)--[a-z][\w-]*", found[2]) if w not in known]
    assert wrong == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_no_recipe_keeps_programs_where_others_can_write(path: Path) -> None:
    """A folder in /tmp whose name can be guessed may be there before, and be somebody else's."""
    text = path.read_text()
    assert "NBDASK_CACHE_DIR" not in text
    assert re.findall(r"local-directory:? +(?!HTC)[^#\s]*", text) in (
        [],
        ["local-directory: $NBDASK_SCRATCH"],
        ['local-directory "$(mktemp'],
    )


@pytest.mark.parametrize("kind", QUEUES)
def test_profiles_make_jobs(kind: str, tmp_path: Path) -> None:
    """The profile of each batch system is complete: a job script comes from it alone."""
    pytest.importorskip("dask_jobqueue")
    settings = yaml.safe_load((DEPLOY / "dask" / f"{kind}.yaml").read_text())
    assert list(settings) == ["nbdask"]
    profile = settings["nbdask"]["profiles"][kind]
    # The folder of the example exists on no machine.
    profile["job-directory"] = str(tmp_path)
    with dask.config.set(settings):
        spec = parse_cluster(jobs=JobOptions(kind))
    assert (spec.kind, spec.layout.total, spec.wait) == (kind, 128, 7200)
    script = job_script(spec)
    for line in profile["job-extra"]:
        assert line in script
    for argv in ("--nthreads 8", "--interface ib0", "--lifetime"):
        assert argv in script


def test_kubernetes_manifest() -> None:
    """A cluster of the operator, and a job that uses it with the same image and count."""
    cluster, job = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    commands = {entry.name for entry in importlib.metadata.entry_points(group="dask_cli")}
    for part in ("worker", "scheduler"):
        assert cluster["spec"][part]["spec"]["containers"][0]["command"] == ["dask", part]
        assert part in commands
    worker = cluster["spec"]["worker"]["spec"]["containers"][0]
    known = options_of("distributed.cli.dask_worker", "main")
    assert [w for w in worker["args"] if w.startswith("--") and w not in known] == []
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert worker["image"] == container["image"]
    argv = shlex.split(container["args"][0].replace("\\\n", " "))
    assert argv[argv.index("--workers") + 1] == str(cluster["spec"]["worker"]["replicas"])
    assert f"tcp://{cluster['metadata']['name']}-scheduler:8786" in argv


def operators_schema() -> dict[str, Any]:
    """The schema of a DaskCluster, as the operator's own package has it; skips without it."""
    try:
        files = importlib.metadata.files("dask-kubernetes") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("dask-kubernetes is not installed")
    (file,) = [f for f in files if str(f).endswith("/crds/daskcluster.yaml")]
    definition = yaml.safe_load(Path(str(file.locate())).read_text())
    (version,) = definition["spec"]["versions"]
    assert version["served"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def closed(schema: Any) -> Any:
    """The schema without room for names that it does not have."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.long
def test_kubernetes_manifest_follows_the_schemas() -> None:
    """The cluster that of its operator, the job those of Kubernetes; misspelt names are found."""
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema")
    schema = closed(operators_schema())
    for name in ("apiVersion", "kind", "metadata"):
        schema["properties"].setdefault(name, {})
    schema["properties"]["metadata"] = {}
    validator = jsonschema.Draft202012Validator(schema)
    cluster, job = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    assert [error.message for error in validator.iter_errors(cluster)] == []
    cluster["spec"]["worker"]["spec"]["containers"][0]["imagee"] = "x"
    cluster["spec"]["worker"]["replicas"] = "four"
    assert len(list(validator.iter_errors(cluster))) == 2
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    newest = kubernetes.latest_version()
    kubernetes.validate(job, newest, strict=True)
    job["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(Exception, match="imagee"):
        kubernetes.validate(job, newest, strict=True)


def test_container_recipes_agree() -> None:
    """Both start from the same image, install the same packages and set one thread per task."""
    docker, apptainer = (DEPLOY / "Dockerfile").read_text(), (DEPLOY / "nbdask.def").read_text()
    base = re.search(r"^ARG BASE=(\S+)\nFROM \${BASE}$", docker, re.MULTILINE)
    assert base is not None
    assert f"From: {base[1]}\n" in apptainer
    install = "pip install --no-cache-dir /src dask-jobqueue"
    for text in (docker, apptainer):
        assert install in text
        for name in ("OMP", "MKL", "OPENBLAS"):
            assert f"{name}_NUM_THREADS=1" in text


def one_job(folder: Path, *argv: str, **more: str) -> subprocess.Popen[str]:
    """Start the script of one job where `srun` starts the one worker right here."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name, text in (
        ("nbdask", f'exec "{sys.executable}" -m nbdask "$@"'),
        ("python", f'exec "{sys.executable}" "$@"'),
        ("srun", 'while [ "$1" != bash ]; do shift; done\nexec "$@" 2>/dev/null'),
    ):
        (binaries / name).write_text(f"#!/bin/sh\n{text}\n")
        (binaries / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NBDASK_INTERFACE": "lo",
        "NBDASK_JOB_DIR": str(folder),
        "SLURM_JOB_ID": "17",
        "SLURM_NTASKS": "1",
        "SLURM_MEM_PER_NODE": "1000",
        "TMPDIR": str(folder),
        **more,
    }
    return subprocess.Popen(
        ["bash", str(DEPLOY / "slurm-one-job.sh"), *argv],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def to_the_end(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a process."""
    said = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


@pytest.mark.long
def test_one_job_script(tmp_path: Path) -> None:
    """Scheduler, worker and run start, talk TLS, end; credentials go; a second job resumes."""
    out = tmp_path / "a run.zarr"
    argv = ["--out", str(out), *FLAGS.split()]
    done = to_the_end(one_job(tmp_path, *argv))
    assert done.returncode == 0, done.stderr
    assert zarr.open_array(out / "image", mode="r").shape == (16, 16)
    left = tmp_path / "nbdask-17"
    assert "tls://127.0.0.1" in (left / "scheduler.log").read_text()
    assert sorted(path.name for path in left.iterdir()) == ["scheduler.log"]
    again = to_the_end(one_job(tmp_path, *argv))
    assert again.returncode == 0, again.stderr
    assert "16 x 16 pixels" in again.stdout


@pytest.mark.long
def test_one_job_script_ends_in_order(tmp_path: Path) -> None:
    """SIGTERM to the script ends the run first; submitted again, it resumes."""
    out, hold = tmp_path / "a.zarr", tmp_path / "hold"
    hold.write_text("1")
    argv = ["--out", str(out), *FLAGS.split(), "--tile", "8"]
    process = one_job(tmp_path, *argv, **slow_workers(hold))
    wait_until(lambda: tiles_done(out) == 1)
    process.send_signal(signal.SIGTERM)
    # The worker's process, which is not asked to stop while the run is there, waits no longer.
    hold.unlink()
    done = to_the_end(process)
    assert done.returncode == 143, done.stderr
    assert "nbdask: terminated; the store keeps all finished tiles" in done.stderr
    assert not (tmp_path / ".a.zarr.lock").exists()
    again = to_the_end(one_job(tmp_path, *argv))
    assert again.returncode == 0, again.stderr


def test_one_job_script_needs_a_store(tmp_path: Path) -> None:
    """Without --out nothing is started."""
    done = to_the_end(one_job(tmp_path, *FLAGS.split()))
    assert (done.returncode, done.stderr) == (2, "slurm-one-job.sh: --out is missing\n")
    assert not (tmp_path / "nbdask-17").exists()
