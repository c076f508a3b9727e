"""What a file holds, told from its content."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gemmi

from nbdask.inputs.text import check_regular, problem, unreadable

WHAT = "a model (PDB, mmCIF) or reflections (MTZ, mmCIF, SHELX hkl)"
#: Most bytes of a file, unpacked.
_MOST = 2**31
_ATOM = re.compile(r"^(ATOM  |HETATM|CRYST1)", re.MULTILINE)
_NUMBERS = re.compile(r"\s*[+-]?\d+(\.0*)?\s*[+-]?\d+")


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A file, read but not understood yet.

    Attributes
    ----------
    kind : str
        ``"mtz"``, ``"cif"``, ``"pdb"`` or ``"list"``.
    text : str
        Of a text file.
    blocks : tuple of gemmi.cif.Block
        Of a CIF file.
    has_atoms, has_reflections : bool
    """

    kind: str
    text: str = ""
    blocks: tuple[gemmi.cif.Block, ...] = ()
    has_atoms: bool = False
    has_reflections: bool = False

    @property
    def what(self) -> str:
        """Say what it holds."""
        return "reflections" if self.has_reflections else "atoms" if self.has_atoms else "neither"


def content_of(path: str | Path) -> Content:
    """Read a file and find out what it holds.

    Raises
    ------
    InputFileError
        It is missing, unreadable, damaged, or none of the formats.
    """
    if (Path(path) / "zarr.json").is_file():
        allowed = f"a file: nbdask amplitudes {path} --out F.mtz writes its amplitudes to one"
        raise problem(path, None, "is a zarr folder", allowed)
    data = _bytes(path)
    if data[:4] == b"MTZ ":
        _check_mtz(path, data)
        return Content("mtz", has_reflections=True)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "\0" in text:
        raise problem(path, None, "binary data", WHAT)
    if re.search(r"^\s*data_", text, re.MULTILINE | re.IGNORECASE) and not _ATOM.match(text):
        return _cif(path, text)
    if _ATOM.search(text):
        # One byte for each column, and no piece of a letter in a name.
        return Content("pdb", text.encode("ascii", "replace").decode(), has_atoms=True)
    first = next((line for line in text.splitlines() if line.split("#")[0].strip()), "")
    if _NUMBERS.match(first):
        return Content("list", text, has_reflections=True)
    raise problem(path, None, "nothing known found" if text.strip() else "empty", WHAT)


def _check_mtz(path: str | Path, data: bytes) -> None:
    """Refuse a file shorter than its header says, for which gemmi would fetch gigabytes."""
    order: Literal["little", "big"] = "little" if data[9:10] and data[9] & 0xF0 == 0x40 else "big"
    header = int.from_bytes(data[4:8], order, signed=True)
    if header == -1:
        header = int.from_bytes(data[12:20], order, signed=True)
    if not 0 < 4 * header <= len(data):
        raise problem(path, None, "damaged MTZ (no header at its place)", WHAT)
    for found in re.finditer(rb"NCOL\s+(\d{1,12})\s+(\d{1,12})", data):
        if 4 * int(found[1]) * int(found[2]) > len(data):
            raise problem(path, None, f"damaged MTZ ({int(found[2])} rows do not fit)", WHAT)


def _bytes(path: str | Path) -> bytes:
    check_regular(path, WHAT)
    try:
        with open(path, "rb") as handle:
            packed = handle.read(2) == b"\x1f\x8b"
            handle.seek(0)
            source = gzip.GzipFile(fileobj=handle) if packed else handle
            data = source.read(_MOST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise problem(path, None, f"damaged gzip data ({error})", WHAT) from None
    except OSError as error:
        raise unreadable(path, error, WHAT) from None
    if len(data) > _MOST:
        raise problem(path, None, "more than 2 GiB", WHAT)
    return data


def _cif(path: str | Path, text: str) -> Content:
    try:
        document = gemmi.cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        reason = str(error).split("\n")[0].removeprefix("string:")
        raise problem(path, None, f"not CIF ({reason})", WHAT) from None
    blocks = tuple(document)
    atoms = any(len(b.find_values("_atom_site.Cartn_x")) for b in blocks)
    reflections = any(
        len(b.find_values(tag))
        for b in blocks
        for tag in ("_refln.index_h", "_refln_index_h", "_diffrn_refln.index_h")
    )
    if not atoms and not reflections:
        raise problem(path, None, "a CIF file without _atom_site.Cartn_x and _refln.index_h", WHAT)
    return Content("cif", text, blocks, atoms, reflections)
