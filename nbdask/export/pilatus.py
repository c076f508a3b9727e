"""Whether a detector is a Pilatus: of its size, its pixels, its gaps."""

from __future__ import annotations

from nbdask.export.picture import Picture

_PITCH = 172e-6
#: Pixels of a module and of the gap after it, along slow and fast.
_MODULE, _GAP = (195, 487), (17, 7)
#: Modules along slow and fast of the detectors that were built.
_BUILT = frozenset({(1, 1), (2, 1), (3, 1), (1, 3), (5, 2), (8, 3), (12, 5)})


def is_pilatus(picture: Picture) -> bool:
    """Return whether programs may take the picture for that of a Pilatus.

    Its gaps between modules must be masked: programs leave these pixels out.
    """
    if abs(picture.experiment.detector.pixel_size / _PITCH - 1.0) > 1e-9:
        return False
    counts = []
    for size, module, gap in zip(picture.shape, _MODULE, _GAP, strict=True):
        count, rest = divmod(size + gap, module + gap)
        if rest:
            return False
        counts.append(count)
    if tuple(counts) not in _BUILT:
        return False
    rows, columns = picture.shape
    gaps = [(slice(a, b), slice(0, columns)) for a, b in _gaps(counts[0], 0)]
    gaps += [(slice(0, rows), slice(a, b)) for a, b in _gaps(counts[1], 1)]
    return all(picture.masked(*gap) for gap in gaps)


def _gaps(count: int, axis: int) -> list[tuple[int, int]]:
    step = _MODULE[axis] + _GAP[axis]
    return [(number * step - _GAP[axis], number * step) for number in range(1, count)]
