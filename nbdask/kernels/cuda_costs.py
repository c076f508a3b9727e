"""What an evaluation costs on a GPU, counted from the compiled code: no GPU was timed for it."""

from __future__ import annotations

from collections.abc import Mapping

#: Instructions of an evaluation in the innermost loop, those of the float64 units and all, counted
#: for compute capability 9.0 by benchmarks/gpu_compile.py: for one amplitude, a list, tricubic
#: interpolation.
_TRICUBIC = (197.0, 327.0)
_FLOAT64 = {
    "square": ((89.0, 132.0), (89.0, 145.5), _TRICUBIC),
    "round": ((62.0, 132.0), (62.0, 145.5), _TRICUBIC),
    "gauss": ((42.0, 65.0), (42.0, 78.5), _TRICUBIC),
    "tophat": ((27.0, 40.0), (27.0, 48.5), _TRICUBIC),
    # By its terms: gauss, and eight quadratic forms with their choice.
    "spherical": ((170.0, 240.0), (170.0, 253.5), (325.0, 502.0)),
}
_INSTRUCTIONS = {
    "float64": _FLOAT64,
    "mixed": _FLOAT64
    | {
        "square": ((16.0, 80.0), (16.0, 93.5), _TRICUBIC),
        "gauss": ((16.0, 56.0), (16.0, 69.5), _TRICUBIC),
    },
    "pairs": _FLOAT64
    | {
        "square": ((0.0, 240.0), (0.0, 253.5), _TRICUBIC),
        "gauss": ((0.0, 216.0), (0.0, 229.5), _TRICUBIC),
    },
}
#: Share of the limit that is expected to be reached.
_REACHED = 0.8
#: Instructions that a multiprocessor starts in a cycle, over all threads.
STARTED = 128
#: Nanoseconds of a processor's thread for a pixel: checks, statistics, writing.
_PIXEL = 18.0
#: Multiprocessors, float64 units of each, and clock [Hz] of an H100 or H200: the GPU that a plan
#: assumes where it cannot ask one.
USUAL = (132, 64, 1.755e9)

Table = Mapping[str, Mapping[str, tuple[float, ...]]]


def gpu_costs(multiprocessors: int, units: int, hertz: float) -> Table:
    """Return the nanoseconds of an evaluation on a whole GPU, by precision and shape.

    Parameters
    ----------
    multiprocessors : int
    units : int
        Float64 multiply-adds that a multiprocessor starts in a cycle.
    hertz : float
        Clock.

    Returns
    -------
    mapping
        As ``costs`` of :class:`~.registry.Backend`; estimated, not measured.
    """
    cycles = multiprocessors * hertz * _REACHED * 1e-9

    def nanoseconds(float64: float, everything: float) -> float:
        return max(float64 / units, everything / STARTED) / cycles

    return {
        precision: {
            shape: tuple(nanoseconds(*pair) for pair in kinds) for shape, kinds in table.items()
        }
        | {"pixel": (_PIXEL,)}
        for precision, table in _INSTRUCTIONS.items()
    }


def keyed(name: str, table: Table) -> dict[str, float]:
    """Return such a table with the keys of :class:`nbdask.plan.cost.Costs`."""
    kinds = ("constant", "list", "tricubic")
    found = {}
    for precision, rows in table.items():
        for row, values in rows.items():
            keys = [row] if row == "pixel" else [f"{row}/{kind}" for kind in kinds]
            for key, value in zip(keys, values, strict=True):
                found[f"{name}/{precision}/{key}"] = value
    return found
