"""Make the pictures of docs/gallery.md.

    python docs/gallery/make.py [--out docs/images] [NAME ...]

Each picture is a function below; without names all are made.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import xarray
from matplotlib.colors import LogNorm

import nbdask
from nbdask import derive
from nbdask.amplitudes.request import Request
from nbdask.cli.main import main as main_of_nbdask
from nbdask.example.write import write_example
from nbdask.experiment import (
    Background,
    Diffuse,
    Experiment,
    Lattice,
    Material,
    Spread,
    StructureFactors,
)
from nbdask.experiment.spectrum import Sase, gaussian, top_hat
from nbdask.flags import from_args, parse_args
from nbdask.units import EV_ANGSTROM

matplotlib.use("Agg")


def example(name: str = "quartz", pixels: int = 512) -> Experiment:
    """Return one of the bundled crystals on a detector of so many pixels, of the same size."""
    with tempfile.TemporaryDirectory() as folder:
        words = write_example(name, folder)
        # The amplitudes come along: the file may go.
        experiment = from_args(words)
        rows = [line.split() for line in Path(words[1]).read_text().splitlines()]
    reflections = tuple((int(h), int(k), int(el), float(f)) for h, k, el, f in rows)
    structure = dataclasses.replace(
        experiment.structure, path=None, sha256=None, reflections=reflections
    )
    size = experiment.detector.pixel_size * 512 / pixels
    detector = dataclasses.replace(
        experiment.detector, pixels_fast=pixels, pixels_slow=pixels, pixel_size=size
    )
    return experiment.replace(structure=structure, detector=detector)


def panels(
    images: Sequence[tuple[str, xarray.DataArray]], path: Path, decades: float = 4.0
) -> None:
    """Draw images side by side, each on a logarithmic scale below its own brightest pixels."""
    count = len(images)
    figure, axes = plt.subplots(1, count, figsize=(4.0 * count, 4.3), layout="constrained")
    for place, (title, image) in zip(np.atleast_1d(axes), images, strict=True):
        values = np.asarray(image, dtype=np.float64)
        top = float(np.percentile(values, 99.95))
        norm = LogNorm(top * 10**-decades, top, clip=True)
        place.imshow(np.maximum(values, top * 10**-decades), norm=norm, cmap="inferno")
        place.set_title(title)
        place.set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def shapes(path: Path) -> None:
    """Draw the same spots for the four crystal shapes."""
    base = example("halite", 1024)
    # One amplitude for all: otherwise it changes half-way between spots of so small a crystal.
    base = base.replace(structure=StructureFactors(default_F=100.0))
    images = {}
    # These two are very narrow by nanoBragg's formula; -fudge widens them to the others' width.
    fudge = {"gauss": 0.005, "tophat": 0.005}
    for shape in ("square", "round", "gauss", "tophat"):
        crystal = dataclasses.replace(
            base.crystal,
            shape=shape,
            fudge=fudge.get(shape, 1.0),
            n_cells=(9, 9, 9),
            mosaic_spread=None,
            mosaic_domains=None,
        )
        scan = dataclasses.replace(base.scan, osc=math.radians(6.0), count=12)
        images[shape] = nbdask.image(base.replace(crystal=crystal, scan=scan)).compute()
    inner = images["gauss"].where(images["gauss"].nbdask.resolution() < 1.6, 0.0)
    slow, fast = np.unravel_index(int(np.argmax(inner.values)), inner.shape)
    window = (slice(max(0, slow - 130), slow + 130), slice(max(0, fast - 130), fast + 130))
    names = {
        shape: f"{shape}, -fudge {fudge[shape]:g}" if shape in fudge else shape for shape in images
    }
    panels([(names[shape], image[window]) for shape, image in images.items()], path, decades=5.0)


def spots(path: Path) -> None:
    """Draw a centred crystal with Gaussian and with spherical spots."""
    base = example("halite", 1024)
    indices = [(h, k, el) for h in range(-9, 10) for k in range(-9, 10) for el in range(-9, 10)]
    allowed = tuple((h, k, el, 100.0) for h, k, el in indices if h % 2 == k % 2 == el % 2)
    scan = dataclasses.replace(base.scan, osc=math.radians(12.0), count=24)
    base = base.replace(structure=StructureFactors(reflections=allowed), scan=scan)
    crystal = dataclasses.replace(
        base.crystal, n_cells=(3, 3, 6), mosaic_spread=None, mosaic_domains=None
    )
    found = {
        "gauss, -fudge 0.02": {"shape": "gauss", "fudge": 0.02},
        "spherical, centring F": {"shape": "spherical", "centring": "F"},
    }
    images = []
    for name, parts in found.items():
        image = nbdask.image(base.replace(crystal=dataclasses.replace(crystal, **parts)))
        middle = slice(len(image) // 4, -(-3 * len(image) // 4))
        images.append((name, image[middle, middle]))
    panels(images, path, decades=4.0)


def lattices(path: Path) -> None:
    """Draw two crystals alone, and both in one image."""
    base = example("pyrope")
    first = dataclasses.replace(base.crystal, mosaic_spread=None, mosaic_domains=None)
    still = dataclasses.replace(base.scan, osc=math.radians(2.0), count=8)
    base = base.replace(crystal=first, scan=still)
    second = dataclasses.replace(first, misset=(0.5, 0.3, 0.2), n_cells=(8, 8, 8))
    images = {
        "one crystal": base,
        "a smaller one": base.replace(crystal=second),
        "both, weights 1 and 4": base.replace(lattices=(Lattice(second, 4.0),)),
    }
    panels([(name, nbdask.image(one)) for name, one in images.items()], path)


def mosaic(path: Path) -> None:
    """Draw one crystal with growing mosaic spread."""
    base = example("quartz")
    images = []
    for spread in (0.0, 0.8, 3.0):
        crystal = dataclasses.replace(
            base.crystal,
            mosaic_spread=math.radians(spread),
            mosaic_domains=1 if spread == 0.0 else 40,
        )
        image = nbdask.image(base.replace(crystal=crystal))
        images.append((f"mosaic spread {spread:g}°", image))
    panels(images, path, decades=3.0)


def beams(path: Path) -> None:
    """Draw a still with an ideal, a divergent and a polychromatic beam."""
    base = example("pyrope")
    crystal = dataclasses.replace(base.crystal, mosaic_spread=None, mosaic_domains=None)
    still = dataclasses.replace(base.scan, osc=None, step=None, count=1)
    base = base.replace(crystal=crystal, scan=still)
    wide, none = Spread(range=math.radians(1.0), count=7), Spread()
    sources = {
        "ideal beam": base.sources,
        "divergence 1°": dataclasses.replace(base.sources, horizontal=wide, vertical=wide),
        "dispersion 20 %": dataclasses.replace(
            base.sources, horizontal=none, vertical=none, dispersion=Spread(range=0.2, count=41)
        ),
    }
    images = [(name, nbdask.image(base.replace(sources=s))) for name, s in sources.items()]
    panels(images, path)


def spectra(path: Path) -> None:
    """Draw three spectra and a part of a still with each."""
    base = example("pyrope", 1024)
    crystal = dataclasses.replace(base.crystal, mosaic_spread=None, mosaic_domains=None)
    still = dataclasses.replace(base.scan, osc=None, step=None, count=1)
    base = base.replace(crystal=crystal, scan=still)
    wave = base.beam.wavelength
    found = {
        "gauss:3%": gaussian(wave, 0.03, 61),
        "tophat:3%": top_hat(wave, 0.03, 61),
        "sase:3%:0.3%": Sase(0.03, 0.003, 121).shot(wave, 7, 0),
    }
    figure, axes = plt.subplots(
        2, 3, figsize=(12.0, 5.6), layout="constrained", height_ratios=(1, 3)
    )
    for above, below, (title, spectrum) in zip(axes[0], axes[1], found.items(), strict=True):
        energies = EV_ANGSTROM / (1e10 * np.array(spectrum.wavelengths))
        above.fill_between(energies, spectrum.weights, color="#8a226a", linewidth=0.0)
        above.set_title(title)
        above.set_xlabel("eV")
        above.set_yticks([])
        sources = dataclasses.replace(base.sources, spectrum=spectrum)
        image = nbdask.image(base.replace(sources=sources))
        middle = slice(len(image) // 4, -(-3 * len(image) // 4))
        values = np.asarray(image[middle, middle], dtype=np.float64)
        top = float(np.percentile(values, 99.95))
        below.imshow(np.maximum(values, top * 1e-4), norm=LogNorm(top * 1e-4, top), cmap="inferno")
        below.set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def detectors(path: Path) -> None:
    """Draw the image on a flat, a swung and a curved detector, with rings of resolution."""
    base = example("quartz")
    far = dataclasses.replace(base.detector, twotheta=math.radians(25.0))
    curved = dataclasses.replace(base.detector, curved=True)
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 4.3), layout="constrained")
    places = {"flat": base.detector, "swung by 25°": far, "curved": curved}
    for place, (title, detector) in zip(axes, places.items(), strict=True):
        image = nbdask.image(base.replace(detector=detector))
        values = np.asarray(image, dtype=np.float64)
        top = float(np.percentile(values, 99.9))
        norm = LogNorm(top * 1e-3, top, clip=True)
        place.imshow(np.maximum(values, top * 1e-3), norm=norm, cmap="inferno")
        d = image.nbdask.resolution()
        lines = place.contour(d, levels=[0.6, 0.8, 1.2, 2.4], colors="#7fd4ff", linewidths=0.8)
        place.clabel(lines, fmt="%g Å", fontsize=8)
        place.set_title(title)
        place.set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def diffuse(path: Path) -> None:
    """Draw a still with sharp peaks alone, with isotropic and with anisotropic halos."""
    random = np.random.default_rng(5)
    hkl = np.mgrid[-14:15, -14:15, -14:15].reshape(3, -1).T
    f = 100.0 * np.sqrt(random.exponential(size=len(hkl)))
    rows = tuple((*map(int, indices), float(x)) for indices, x in zip(hkl, f, strict=True))
    flags = """-cell 35 35 40 90 90 90 -misset 5 8 12 -default_F 1 -oversample 1 -lambda 1
        -mosaic 0.5 -mosaic_domains 12 -distance 100 -detpixels 320 -pixel 0.25"""
    base = from_args(flags.split())
    cells = (14.0, 0.0, 0.0, 0.0, 14.0, 0.0, 0.0, 0.0, 14.0)
    sharp = dataclasses.replace(base.crystal, shape="gauss", cells_matrix=cells)
    base = base.replace(crystal=sharp, structure=StructureFactors(reflections=rows))
    images = [("peaks", nbdask.image(base))]
    for name, gamma, sigma in (
        ("isotropic motion", (3e-9, 3e-9, 3e-9), (6e-11, 6e-11, 6e-11)),
        ("along c", (1e-9, 1e-9, 8e-9), (3e-11, 3e-11, 9e-11)),
    ):
        motion = Diffuse(gamma, sigma, laue="4/mmm", physical=True)
        crystal = dataclasses.replace(base.crystal, diffuse=motion)
        images.append((name, nbdask.image(base.replace(crystal=crystal))))
    panels(images, path, decades=5.0)


def background(path: Path) -> None:
    """Draw a still of a protein's cell alone, in a jet of water, and with air around it."""
    random = np.random.default_rng(3)
    hkl = np.mgrid[-24:25, -24:25, -24:25].reshape(3, -1).T
    fall = np.exp(-8.0 * (hkl**2).sum(axis=1) / (2.0 * 55.0) ** 2)
    f = 3e5 * fall * np.sqrt(random.exponential(size=len(hkl)))
    rows = tuple((*map(int, indices), float(x)) for indices, x in zip(hkl, f, strict=True))
    flags = """-cell 55 55 55 90 90 90 -misset 10 20 30 -default_F 1 -N 40 -oversample 2 -lambda 1
        -mosaic 0.6 -mosaic_domains 60 -distance 130 -detpixels 560 -pixel 0.25 -flux 1e12
        -exposure 0.1 -beamsize 0.05"""
    base = from_args(flags.split())
    base = base.replace(structure=StructureFactors(reflections=rows))
    water = Material(5e-5, table="water", density=997.0, molar_mass=0.0180153)
    air = Material(5e-2, table="air", density=1.2, molar_mass=0.0289647)
    images = [
        ("crystal", nbdask.image(base)),
        ("50 µm of water", nbdask.image(base.replace(background=Background(0.0, (water,))))),
        ("and 50 mm of air", nbdask.image(base.replace(background=Background(0.0, (water, air))))),
    ]
    panels(images, path, decades=2.5)


def noise(path: Path) -> None:
    """Draw the bare image, with water and photon noise, and as a detector reads it."""
    base = example("pyrope")
    beam = dataclasses.replace(base.beam, fluence=base.beam.fluence * 0.05)
    water = Background(water=4e-7)
    bare = nbdask.image(base)
    wet = nbdask.image(base.replace(beam=beam, background=water))
    counted = derive.poisson(wet, seed=1)
    blurred = derive.poisson(derive.gaussian_psf(wet, fwhm=1.6), seed=1)
    read = derive.readout(blurred, sigma=1.5, seed=2)
    images = [("photons expected", bare), ("water, counted", counted), ("read out", read)]
    panels(images, path, decades=3.0)


def profile(path: Path) -> None:
    """Draw the radial profile of an image above its resolution axis."""
    image = nbdask.image(example("silicon"))
    rings = image.nbdask.radial_profile(bins=400)
    figure, axes = plt.subplots(figsize=(8.0, 3.2), layout="constrained")
    axes.semilogy(rings["q"], rings["mean"], color="#8a226a", linewidth=1.0)
    axes.set_xlabel("q = 2π/d [1/Å]")
    axes.set_ylabel("mean photons per pixel")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def write_model(folder: Path) -> Path:
    """Write a model of atoms at random places, in the manner of a small protein, and return it."""
    random = np.random.default_rng(11)
    edges = (34.0, 41.0, 48.0)
    sizes = " ".join(f"{edge:8.3f}" for edge in edges)
    lines = [f"CRYST1 {sizes}  90.00  90.00  90.00 P 21 21 21"]
    elements = random.choice(["C", "C", "C", "N", "O", "S"], 400)
    for number, element in enumerate(elements, 1):
        x, y, z = random.uniform(0.0, edges)
        b = random.uniform(8.0, 25.0)
        lines.append(
            f"ATOM  {number:5d}  {element:<3s} GLY A{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"  1.00{b:6.2f}          {element:>2s}"
        )
    path = folder / "model.pdb"
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def amplitudes(path: Path) -> None:
    """Draw the same crystal from a list of P1, an MTZ file made of its model, and the model."""
    flags = """-misset 10 20 30 -N 16 -oversample 1 -lambda 1 -mosaic 0.5 -mosaic_domains 20
        -distance 100 -detpixels 360 -pixel 0.25"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(write_model(folder))
        listing, mtz = str(folder / "P1.hkl"), str(folder / "P1.mtz")
        make = [model, "--dmin", "1.8", "--energy", f"{EV_ANGSTROM:.10g}", "--quiet"]
        for out in (listing, mtz):
            assert main_of_nbdask(["amplitudes", *make, "--out", out]) == 0
        cell = ["-cell", "34", "41", "48", "90", "90", "90"]
        found = {
            "P1 list": parse_args(["-hkl", listing, *cell, *flags.split()]),
            "MTZ": parse_args(flags.split(), amplitudes=Request(reflections=mtz)),
            "model": parse_args(flags.split(), amplitudes=Request(model=model, dmin=1.8)),
        }
        images = [(name, nbdask.image(p.experiment).compute()) for name, p in found.items()]
    panels(images, path, decades=5.0)


def wilson(path: Path) -> None:
    """Draw the Wilson plot of the model of ``amplitudes``."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder))
        words = ["amplitudes", str(model), "--dmin", "1.8", "-o", str(path), "--overwrite"]
        assert main_of_nbdask([*words, "--quiet"]) == 0


def laue(path: Path) -> None:
    """Draw a Laue image, and the mean wavelength and h + k + l of its pixels."""
    base = example("pyrope")
    crystal = dataclasses.replace(
        base.crystal, mosaic_spread=None, mosaic_domains=None, n_cells=(12, 12, 12)
    )
    still = dataclasses.replace(base.scan, osc=None, step=None, count=1)
    spectrum = top_hat(base.beam.wavelength, 0.25, 101)
    sources = dataclasses.replace(base.sources, spectrum=spectrum)
    experiment = base.replace(crystal=crystal, scan=still, sources=sources)
    with tempfile.TemporaryDirectory() as folder:
        nbdask.simulate(
            experiment, Path(folder) / "laue.zarr", planes="wavelength,hkl", progress=False
        )
        found = nbdask.open(Path(folder) / "laue.zarr").compute()
    values = found.image.to_numpy().astype(np.float64)
    top = float(np.percentile(values, 99.95))
    figure, axes = plt.subplots(1, 3, figsize=(12.0, 4.3), layout="constrained")
    norm = LogNorm(top * 1e-4, top, clip=True)
    axes[0].imshow(np.maximum(values, top * 1e-4), norm=norm, cmap="inferno")
    axes[0].set_title("photons")
    seen = np.clip(np.log10(np.maximum(values, top * 1e-4) / top) / 4.0 + 1.0, 0.0, 1.0)
    shown = {
        "mean wavelength [Å]": (1e10 * found.wavelength.to_numpy(), "turbo"),
        "mean h + k + l": ((found.h + found.k + found.l).to_numpy(), "twilight_shifted"),
    }
    for place, (title, (plane, colours)) in zip(axes[1:], shown.items(), strict=True):
        place.set_facecolor("black")
        place.imshow(plane, cmap=colours, alpha=np.where(np.isnan(plane), 0.0, seen))
        place.set_title(title)
        place.set_xticks([])
        place.set_yticks([])
    axes[0].set_axis_off()
    figure.savefig(path, dpi=80)
    plt.close(figure)


PICTURES: dict[str, Callable[[Path], None]] = {
    "shapes": shapes,
    "spots": spots,
    "lattices": lattices,
    "mosaic": mosaic,
    "beams": beams,
    "spectra": spectra,
    "detectors": detectors,
    "diffuse": diffuse,
    "background": background,
    "noise": noise,
    "profile": profile,
    "amplitudes": amplitudes,
    "wilson": wilson,
    "laue": laue,
}


def main() -> None:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description="Make the pictures of the gallery.")
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        path = options.out / f"gallery-{name}.png"
        PICTURES[name](path)
        print(path)


if __name__ == "__main__":
    main()
