"""The Wilson plot of a table of amplitudes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nbdask.amplitudes.scale import Statistics
from nbdask.errors import InputError
from nbdask.files import whole_file


def draw_wilson(statistics: Statistics, title: str, path: Path) -> None:
    """Draw ln(<F^2> / sum of f0^2) and the completeness over (sin(theta)/lambda)^2.

    Parameters
    ----------
    statistics : Statistics
    title : str
    path : Path
        File to write: .png, .svg or .pdf.

    Raises
    ------
    InputError
        It cannot be written.
    """
    points = [shell for shell in statistics.shells if np.isfinite(shell.log_ratio)]
    s2 = np.array([shell.s2 for shell in points])
    figure = Figure(figsize=(7.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    heights = np.array([shell.log_ratio for shell in points])
    axes.plot(s2, heights, "o-", color="C0", label="shells")
    if np.isfinite(statistics.B) and len(points):
        # Through the points' own level, so that a list on no absolute scale has its line too.
        line = -2.0 * statistics.B * s2
        axes.plot(
            s2,
            line + np.median(heights - line),
            "--",
            color="C1",
            label=f"B {statistics.B:.2f} $\\mathrm{{\\AA^2}}$",
        )
    axes.set_xlabel(r"$(\sin\theta/\lambda)^2$ [$\mathrm{\AA^{-2}}$]")
    axes.set_ylabel(r"ln ($\langle F^2\rangle$ / $\Sigma f_0^2$)")
    axes.set_title(title)
    share = axes.twinx()
    complete = [s.listed / s.possible if s.possible else np.nan for s in points]
    share.plot(s2, complete, ":", color="C2", label="completeness")
    share.set_ylim(0.0, 1.05)
    share.set_ylabel("completeness")
    figure.legend(loc="outside lower center", ncols=3)
    with whole_file(path, "-o", InputError) as fresh:
        figure.savefig(fresh, format=path.suffix.lower().lstrip("."), dpi=150)
