"""The GPU's kernel as a plan sees it, also where there is no GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbdask.errors import BackendError
from nbdask.geometry.model import Model
from nbdask.kernels.cuda_costs import USUAL, gpu_costs, keyed

#: Changes whenever the bits of the result may change.
VERSION = "2"
PRECISIONS = ("float64", "mixed", "pairs")


class GpuFacts:
    """What a plan for GPUs of other machines is made from; they check themselves.

    Raises
    ------
    BackendError
        ``"auto"``, which depends on the GPU.
    """

    name = "cuda"
    version = VERSION
    on_device = True
    note = None

    def __init__(self, precision: str) -> None:
        if precision == "auto":
            raise BackendError(
                "--precision auto asks the GPU of this machine, but the run is for others: name"
                " float64, or pairs where GPUs have few float64 units (docs/gpu.md lists them)"
            )
        self.precision = precision

    @property
    def costs(self) -> Mapping[str, float]:
        """Nanoseconds by key, of the usual GPU."""
        return keyed(self.name, gpu_costs(*USUAL))

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return the bytes of page-locked memory of a task."""
        return page_locked_bytes(copied_blocks(model, pixels))

    def share(self, model: Model) -> tuple[float, float]:
        """Return 1: a GPU skips nothing."""
        return 1.0, 1.0

    def needs_compiling(self, model: Model) -> bool:
        """Return False: nothing is compiled here."""
        return False


def copied_blocks(model: Model, pixels: int) -> list[int]:
    """Return the bytes of each block that goes to the GPU or comes from it with one task.

    The result itself, which a plan counts, is one of them.
    """
    slow0, slow1, fast0, fast1 = model.roi
    whole = (slow0, slow1, fast0, fast1) == (0, model.n_slow - 1, 0, model.n_fast - 1)
    blocks = [8 * pixels, 8]
    if model.running_product:
        blocks.append(8 * pixels)
    if not whole or model.mask is not None:
        # The list of pixels as NumPy makes it, as it is copied, and the values before they are
        # spread over the tile.
        blocks += [8 * pixels, 4 * pixels, 8 * pixels]
    return blocks


def page_locked_bytes(blocks: Sequence[int]) -> int:
    """Return the bytes of blocks of page-locked memory, which CuPy rounds up to powers of two."""
    return sum(max(512, 1 << (size - 1).bit_length()) for size in blocks)
