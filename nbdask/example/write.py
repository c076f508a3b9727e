"""Write the files of an example and the nanoBragg command line that goes with them."""

from __future__ import annotations

import shlex
from pathlib import Path

from nbdask.errors import InputError
from nbdask.example.amplitudes import Reflection, amplitudes
from nbdask.example.crystals import MINERALS
from nbdask.files import check_outside_stores, whole_file

DEFAULT = "pyrope"


def crystals() -> tuple[str, ...]:
    """Return the names of the bundled crystals, the default first."""
    return (DEFAULT, *(name for name in MINERALS if name != DEFAULT))


def check_name(name: str) -> None:
    """Raise InputError where no bundled crystal has this name."""
    if name not in MINERALS:
        raise InputError(f"example {name!r}: must be one of {', '.join(crystals())}")


def example_argv(name: str, directory: str | Path) -> list[str]:
    """Return the nanoBragg flags of an example in a directory, beginning with its -hkl FILE.

    Raises
    ------
    InputError
        There is no such example.
    """
    check_name(name)
    mineral = MINERALS[name]
    hkl = Path(directory) / f"{name}.hkl"
    return ["-hkl", str(hkl), "-cell", *(f"{x:g}" for x in mineral.cell), *mineral.flags.split()]


def write_example(name: str, directory: str | Path) -> list[str]:
    """Write an amplitude list and return the arguments that simulate it.

    Parameters
    ----------
    name : str
        One of :func:`crystals`.
    directory : str or path
        Where ``NAME.hkl`` (text: h k l F of the P1 cell) and ``command.txt`` (the shell
        command) go; made where it does not exist.

    Returns
    -------
    list of str
        nanoBragg flags, without output flags.

    Raises
    ------
    InputError
        Another name, or a directory that cannot be written.
    """
    argv = example_argv(name, directory)
    folder = Path(directory)
    check_outside_stores(argv[1], "example directory", InputError)
    line = shlex.join(["nbdask", "simulate", *argv, "--out", str(folder / f"{name}.zarr")])
    hkl = hkl_text(amplitudes(MINERALS[name]))
    texts = {Path(argv[1]): hkl, folder / "command.txt": line + "\n"}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            with whole_file(path) as fresh:
                fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"example directory {folder}: cannot be written ({error.strerror}); choose another"
        ) from error
    return argv


def hkl_text(reflections: list[Reflection]) -> str:
    """Return a P1 amplitude list as text, one ``h k l F`` a line, F to four decimals."""
    return "".join(f"{h} {k} {el} {f:.4f}\n" for h, k, el, f in reflections)
