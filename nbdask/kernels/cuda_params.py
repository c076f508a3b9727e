"""What a launch of the CUDA kernels is told: one structure, here and in C++.

The C++ text of the structure and of the codes is made from what stands here, so that the two
cannot differ.
"""

from __future__ import annotations

import numpy as np

#: Versions of the loops by lattice factor, by amplitudes, and by the factors that go with every
#: term: none, each term its own, C's running product.
LATTICES = (
    "FEW_ODD",
    "FEW",
    "GRATING",
    "SPHERE",
    "GAUSS",
    "TOPHAT",
    "NARROW_GRATING",
    "NARROW_GAUSS",
)
AMPLITUDES = ("CONSTANT", "NEAREST", "TRICUBIC")
FACTORS = ("ONCE", "EACH", "PRODUCTS")
FEW_ODD, FEW, GRATING, SPHERE, GAUSS, TOPHAT, NARROW_GRATING, NARROW_GAUSS = range(8)
CONSTANT, NEAREST, TRICUBIC = range(3)
ONCE, EACH, PRODUCTS = range(3)

_F, _I = "<f8", "<i4"
#: Names as in :class:`~nbdask.geometry.model.Model` where they are the same.
PARAMS = np.dtype(
    [
        ("fast", _F, 3), ("slow", _F, 3), ("normal", _F, 3), ("origin", _F, 3), ("beam", _F, 3),
        # Edge of a sub-pixel; absorption of one layer, below 0: no sensor; what multiplies every
        # term.
        ("pixel_size", _F), ("sub_size", _F), ("distance", _F), ("per_distance", _F),
        ("close_distance", _F), ("layer_step", _F), ("depth", _F), ("kahn", _F),
        ("dmin", _F), ("height", _F),
        # Of the lattice factor: see Few, Gauss and so on in numba_types.
        ("cells", _F, 3), ("fudge", _F), ("triangle", _F, 6), ("sign", _F),
        ("few", _F, (3, 5)), ("even", _F, 3), ("per_cell", _F),
        # Amplitude outside the list, bounds of interpolation.
        ("default_squared", _F), ("low", _F, 3), ("high", _F, 3),
        ("background", _F), ("scale", _F),
        # Amplitude grid: indices of its first place, last place along each axis, steps between
        # neighbours.
        ("minimum", _I, 3), ("last", _I, 3), ("stride_h", _I), ("stride_k", _I),
        ("whole_cells", _I, 3),
        ("curved", _I), ("point_pixel", _I), ("oversample", _I), ("layers", _I),
        ("sources", _I), ("turns", _I), ("each_thick", _I), ("each_polar", _I),
        ("each_omega", _I), ("polarized", _I), ("skip_zero", _I),
        # The range of steps: sub-pixels of layers, sources of the first and last of them, and
        # orientations of the first and last of these.
        ("outer0", _I), ("outer1", _I), ("source0", _I), ("source1", _I), ("turn0", _I),
        ("turn1", _I),
        # The tile: first pixel, width, pixels to be evaluated, whether they are listed.
        ("slow0", _I), ("fast0", _I), ("width", _I), ("count", _I), ("listed", _I),
        # The version of the loops, read only where it is not chosen by macros.
        ("lattice", _I), ("amplitude", _I), ("factors", _I), ("degree", _I), ("pairs", _I),
    ],
    align=True,
)  # fmt: skip
#: Numbers of a row of the orientations and of the sources, padded for loads of 16 bytes.
AXES_ROW, SOURCE_ROW = 10, 12
_C_TYPES = {_F: "double", _I: "int"}


def c_text() -> str:
    """Return the structure ``Params`` and the codes in C++."""
    lines = [f"enum {{ {', '.join(names)} }};" for names in (LATTICES, AMPLITUDES, FACTORS)]
    lines.append(f"constexpr int AXES_ROW = {AXES_ROW}, SOURCE_ROW = {SOURCE_ROW};")
    lines.append("struct Params {")
    assert PARAMS.names is not None
    for name in PARAMS.names:
        kind = PARAMS[name]
        size = "".join(f"[{n}]" for n in kind.shape)
        lines.append(f"  {_C_TYPES[kind.base.str]} {name}{size};")
    lines.append("};")
    lines.append(f'static_assert(sizeof(Params) == {PARAMS.itemsize}, "layout of Params");')
    return "\n".join(lines) + "\n"
