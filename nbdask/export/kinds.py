"""The kinds of files that a store can be exported to."""

from __future__ import annotations

from dataclasses import dataclass

#: What a writer takes: the picture of one store; a series of one image; a series of any length.
PICTURE, IMAGE, SERIES = "picture", "image", "series"
#: Images of a file, where it is not said how many.
FRAMES = 1000


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file.

    Parameters
    ----------
    name : str
        What ``--format`` takes.
    suffixes : tuple of str
        Of file names, which select the format; empty: only selected by name.
    writer : str
        ``module:function`` below ``nbdask.export``.
    takes : frozenset of str
        Fields of :class:`nbdask.export.options.Options` that it uses.
    help : str
    only : str or None
        The only kind of pixels, which may be asked for by name.
    unit : str
        ``"picture"``, ``"image"`` or ``"series"``: what the writer takes.  Several images go to
        one file only for the last.
    panels : bool
        It holds several panels.
    splits : bool
        Images go to several files where ``#`` stands in the name, though one can hold all.
    """

    name: str
    suffixes: tuple[str, ...]
    writer: str
    takes: frozenset[str]
    help: str
    only: str | None = None
    unit: str = PICTURE
    panels: bool = False
    splits: bool = False

    @property
    def module(self) -> str:
        """The module of the writer."""
        return f"nbdask.export.{self.writer.split(':')[0]}"


_VALUES = frozenset({"scale", "adc"})
_HDF5 = _VALUES | {"dtype", "sensor", "compression", "shots_per_file"}
FORMATS = {
    f.name: f
    for f in (
        Format("float", (".bin", ".float"), "floatfile:write_raw", _VALUES, "bare float32"),
        Format(
            "smv",
            (".img", ".smv"),
            "smv_adsc:write",
            _VALUES | {"header", "sensor"},
            "SMV, unsigned 16 bits",
            unit=IMAGE,
        ),
        Format(
            "smv-noise",
            (),
            "smv_adsc:write_noisy",
            frozenset({"adc", "seed", "header", "sensor"}),
            "SMV with nanoBragg's own photon noise",
            unit=IMAGE,
        ),
        Format("pgm", (".pgm",), "pgm:write_pgm", frozenset({"scale"}), "8-bit greymap"),
        Format(
            "nxmx",
            (".h5", ".hdf5", ".nxs"),
            "nexus:write_nexus",
            _HDF5,
            "NeXus NXmx in HDF5",
            unit=SERIES,
            panels=True,
            splits=True,
        ),
        Format(
            "cbf",
            (".cbf",),
            "cbf:write_cbf",
            _VALUES | {"sensor"},
            "CBF with imgCIF and mini header, int32",
            "int32",
            unit=IMAGE,
            panels=True,
        ),
        Format(
            "tiff", (".tif", ".tiff"), "tiff:write_tiff", _VALUES | {"dtype"}, "BigTIFF with tiles"
        ),
        Format(
            "cxi",
            (".cxi",),
            "cxi:write_cxi",
            _HDF5,
            "HDF5 and .geom of CrystFEL",
            unit=SERIES,
            panels=True,
            splits=True,
        ),
        Format(
            "geom",
            (".geom",),
            "cxi:write_geom",
            frozenset({"sensor", "shots_per_file"}),
            "CrystFEL geometry",
            unit=SERIES,
            panels=True,
        ),
        Format(
            "expt",
            (".expt",),
            "expt:write_expt",
            frozenset({"sensor", "images", "shots_per_file"}),
            "experiment list of DIALS: the truth, with the crystal",
            unit=SERIES,
            panels=True,
        ),
    )
}
