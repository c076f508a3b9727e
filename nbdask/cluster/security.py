"""Temporary credentials, so that a cluster reached over a network uses TLS.

``python -m nbdask.cluster.security FOLDER`` writes new ones into a folder and prints the shell
lines that make dask use them: for batch scripts that start scheduler and workers themselves.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path
from typing import Any

from distributed.security import Security

from nbdask.errors import ClusterError


def temporary_security() -> Any:
    """Return new credentials, shared by scheduler, workers and client of one run.

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
            " false in dask's configuration to run the cluster without encryption"
        ) from error


def spec_security(tls: bool) -> dict[str, Any]:
    """Return the keywords of dask's clusters that make them talk TLS with credentials of one run.

    Parameters
    ----------
    tls : bool
        False: unprotected; no keywords.
    """
    return {"security": temporary_security(), "protocol": "tls"} if tls else {}


def private_folder(folder: Path, forbidden: int = 0o022) -> None:
    """Make a folder that only this user may enter, or check one that is there.

    Parameters
    ----------
    folder : Path
    forbidden : int
        Bits of the mode that an older folder must not have.

    Raises
    ------
    ClusterError
        It belongs to somebody else, is a link, or its mode gives others too much.
    OSError
        It cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
        raise ClusterError(
            f"{folder}: is a link, or another user's: credentials need a folder of your own"
        )
    if facts.st_mode & forbidden:
        mode = f"{stat.S_IMODE(facts.st_mode):04o}"
        raise ClusterError(
            f"{folder}: has mode {mode}: credentials need a folder that is closed to"
            f" others: chmod 700 {shlex.quote(str(folder))}"
        )


def write_credentials(folder: Path) -> dict[str, str]:
    """Write new credentials into a folder that only this user may enter.

    Parameters
    ----------
    folder : Path
        Created where it is missing, else checked.

    Returns
    -------
    dict
        Environment variables that make dask use them.
    """
    security = temporary_security()
    folder = folder.absolute()
    private_folder(folder, 0o077)
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
