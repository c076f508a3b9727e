"""Temporary credentials, so that a cluster that is reached over a network talks TLS.

``python -m nbdask.cluster.security FOLDER`` writes new ones into a folder and prints the shell
lines that make dask use them: for batch scripts that start scheduler and workers themselves.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from distributed.security import Security

from nbdask.errors import ClusterError


def temporary_security() -> Any:
    """Return new credentials, shared by scheduler, workers and client of one run.

    Returns
    -------
    distributed.Security

    Raises
    ------
    ClusterError
        The package ``cryptography`` is missing.
    """
    try:
        return Security.temporary()
    except ImportError as error:
        raise ClusterError(
            "TLS needs the package cryptography: pip install cryptography, or set nbdask.tls to"
            " false in dask's configuration to let the cluster talk unprotected"
        ) from error


def write_credentials(folder: Path) -> dict[str, str]:
    """Write new credentials into a folder that only this user may enter.

    Parameters
    ----------
    folder : Path
        Created where it is missing.

    Returns
    -------
    dict
        Environment variables that make dask use them.
    """
    security = temporary_security()
    folder = folder.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = {}
    for name, text in (("cert", security.tls_scheduler_cert), ("key", security.tls_scheduler_key)):
        path = folder / f"{name}.pem"
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        files[name] = str(path)
    prefix = "DASK_DISTRIBUTED__COMM__"
    variables = {
        prefix + "REQUIRE_ENCRYPTION": "True",
        prefix + "TLS__CA_FILE": files["cert"],
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        variables[f"{prefix}TLS__{role}__CERT"] = files["cert"]
        variables[f"{prefix}TLS__{role}__KEY"] = files["key"]
    return variables


def main(argv: list[str]) -> int:
    """Write credentials into the folder named and print what a shell is to evaluate."""
    if len(argv) != 1 or argv[0].startswith("-"):
        print("usage: python -m nbdask.cluster.security FOLDER", file=sys.stderr)
        return 2
    try:
        variables = write_credentials(Path(argv[0]))
    except (ClusterError, OSError) as error:
        print(f"nbdask: error: {error}", file=sys.stderr)
        return 2
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
