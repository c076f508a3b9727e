"""A real S3 server for tests: SeaweedFS where its program is installed, else moto's server."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from tests import leaks
from tests.helpers import PATIENCE

BUCKET, KEY, SECRET = "nbdask", "test-key", "test-secret-key"


def weed() -> str | None:
    """Return SeaweedFS's program, or None."""
    return shutil.which("weed") or shutil.which("weed", path=sysconfig.get_path("scripts"))


def missing() -> str | None:
    """Return why there can be no server here, or None."""
    if importlib.util.find_spec("obstore") is None:
        return "obstore is not installed"
    if weed() is None and importlib.util.find_spec("moto.server") is None:
        return "neither SeaweedFS (weed) nor moto's server is installed"
    return None


def _free_ports(count: int) -> list[int]:
    """Return ports that are free now, and so are those 10000 above (SeaweedFS takes them too)."""
    found: list[int] = []
    port = 15000 + os.getpid() * 17 % 20000
    while len(found) < count:
        port += 1
        try:
            for number in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
    return found


class Server:
    """One server on the loopback interface, with one bucket.

    Parameters
    ----------
    folder : Path
        For its data.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real = weed() is not None
        self.ports = _free_ports(4)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which clients find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def _command(self) -> list[str]:
        port, master, volume, filer = self.ports
        program = weed()
        if program is None:
            return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        who = {"accessKey": KEY, "secretKey": SECRET}
        rights = ["Admin", "Read", "Write", "List", "Tagging"]
        one = {"name": "test", "credentials": [who], "actions": rights}
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [one]}))
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        argv = f"""-logtostderr=true server -dir={data} -ip=127.0.0.1 -ip.bind=127.0.0.1
            -master.port={master} -volume.port={volume} -filer.port={filer} -s3 -s3.port={port}
            -s3.config={config} -volume.max=0 -master.volumeSizeLimitMB=64 -master.telemetry=false
            -master.electionTimeout=1s -volume.preStopSeconds=0 -s3.port.iceberg=0
            -s3.port.lance=0"""
        return [program, *argv.split()]

    def start(self) -> None:
        """Start it, and wait until it answers and the bucket is there."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        leaks.owned_by_module.add(self.process.pid)
        end = time.monotonic() + PATIENCE
        while not self._make_bucket():
            if time.monotonic() > end or self.process.poll() is not None:
                self.kill()
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)

    def _make_bucket(self) -> bool:
        """Create the bucket by a signed request; return whether it is there."""
        code = (
            "import sys, obstore\n"
            "from obstore.store import S3Store\n"
            "obstore.put(S3Store(sys.argv[1], endpoint=sys.argv[2], client_options="
            "{'allow_http': True}, retry_config={'max_retries': 0}), 'ready', b'x')"
        )
        if not self.real:
            code = (
                "import sys, urllib.request as u\n"
                "u.urlopen(u.Request(f'{sys.argv[2]}/{sys.argv[1]}', method='PUT'))"
            )
        done = subprocess.run(
            [sys.executable, "-c", code, BUCKET, self.endpoint],
            env={**os.environ, **self.environment()},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def kill(self) -> None:
        """End it at once, as a crash would; SeaweedFS keeps what was written."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
