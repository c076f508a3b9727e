"""Where nbdask's own options of an experiment are, when they stand among nanoBragg's flags."""

from __future__ import annotations

from dataclasses import fields

from nbdask.amplitudes.request import Request
from nbdask.flags.own import OWN

#: Option -> the keyword of :func:`nbdask.flags.parse_args` that takes it.
_KEYWORDS = {
    **{name: f"own=nbdask.flags.Own({name}=...)" for name in OWN},
    **{
        item.name: f"amplitudes=nbdask.amplitudes.request.Request({item.name}=...)"
        for item in fields(Request)
    },
    **{
        f"{before}{name}": f"geometry=nbdask.flags.GeometryRequest(path, {name}=...)"
        for before, names in (
            ("", ("clen", "distance_shift")),
            ("geometry_", ("use", "shot", "mask")),
        )
        for name in names
    },
    "geometry": "geometry=...",
    "semantics": "semantics=...",
    "source_weights": "source_weights=...",
    "pix0_vector_mm": "pix0=... [m]",
}
_IN_AMPLITUDES = tuple(item.name for item in fields(Request))


def option_way(arg: str) -> str | None:
    """Return how Python and TOML files have an option of the command line.

    Parameters
    ----------
    arg : str
        As it stands, such as ``--model`` or ``--dmin=2``.

    Returns
    -------
    str or None
        None: it is no such option.
    """
    option = arg.partition("=")[0]
    name = option[2:].replace("-", "_")
    if not option.startswith("--") or name not in _KEYWORDS:
        return None
    table = "nanobragg.amplitudes" if name in _IN_AMPLITUDES else "nanobragg"
    key = "pix0" if name == "pix0_vector_mm" else name
    return (
        f"{option} is an option of nbdask simulate: in Python"
        f" nbdask.flags.parse_args(words, {_KEYWORDS[name]}).experiment takes it, in a TOML file"
        f" {key} of [{table}]"
    )
