"""What dxtbx reads from exported files: place, tilt, beam, spindle, pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask.experiment import Beam, Detector, DetectorPanel, LabFrame, Scan
from nbdask.export.formats import export
from nbdask.export.instrument import instrument_of
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from nbdask.panels.vectors import FROM_DXTBX
from nbdask.units import from_degrees
from tests.export.stores import experiment_of, picture_of, store_of
from tests.panels.several import PANELS, several

pytestmark = pytest.mark.long

SHAPE = (150, 230)
FLAT = Detector(
    pixels_fast=230, pixels_slow=150, pixel_size=1.1e-4, distance=0.1, beam_x=5.03e-3, beam_y=1.9e-2
)


def store(folder: Path, **parts: Any) -> Path:
    """A store of a tilted detector and a rotation, unless told otherwise."""
    parts = {"scan": Scan(phi0=from_degrees(12.5), osc=from_degrees(0.1), count=3), **parts}
    experiment = experiment_of(*SHAPE, **parts)
    return store_of(folder / "a.zarr", experiment, np.rint(picture_of(SHAPE, 50.0)))


def truth(path: Path) -> dict[str, Any]:
    """Place and axes of the panel [mm], and the spindle, in dxtbx's frame."""
    found = instrument_of(Series(path), Sensor("Si", 1e-6))
    panel = found.panels[0]
    return {
        "origin": FROM_DXTBX @ panel.origin * 1e3,
        "fast": FROM_DXTBX @ panel.fast,
        "slow": FROM_DXTBX @ panel.slow,
        "centre": (found.beam_panel() or ())[:3] or None,
        "axis": None if found.spindle is None else FROM_DXTBX @ found.spindle.axis,
    }


def agree(read: dict[str, Any], path: Path, *, turned: bool = True) -> None:
    """Compare what was read with the truth."""
    wanted = truth(path)
    (panel,) = read["panels"]
    for key in ("origin", "fast", "slow"):
        assert panel[key] == pytest.approx(wanted[key], abs=1e-8), key
    assert read["source"] == pytest.approx([0.0, 0.0, 1.0], abs=1e-12)
    if wanted["centre"] is None:
        assert read["centre"] is None
    else:
        assert read["centre"] == pytest.approx(wanted["centre"], abs=0.01)
    if turned:
        assert read["axis"] == pytest.approx(wanted["axis"], abs=1e-9)
        assert read["oscillation"] == pytest.approx([12.5, 0.1])
        assert not read["still"]


@pytest.mark.parametrize("convention", ["MOSFLM", "ADXV", "XDS", "DENZO", "DIALS"])
def test_a_tilted_detector_is_read_as_it_stands(dials, tmp_path: Path, convention: str) -> None:
    """NXmx, CBF, and the experiment list hold tilts, 2theta and spindle; an SMV file points there.

    Pixels are those of the store.
    """
    path = store(tmp_path, frame=LabFrame(convention=convention))
    for name in ("a.nxs", "a_1.cbf", "b.expt"):
        images = {"images": str(tmp_path / "a.nxs")} if name == "b.expt" else {}
        export(path, tmp_path / name, **images)
    said = export(path, tmp_path / "c_1.img", scale=1.0, adc=0.0).describe()
    assert "the header cannot hold tilts" in said
    names = ("a.nxs", "a_1.cbf", "b.expt", "c_1.expt")
    found = dials.look(tmp_path, "models", *names)
    pixels = picture_of(SHAPE, 50.0)
    for name in names:
        agree(found[name], path)
        assert np.array_equal(found[name]["pixels"][0], np.rint(pixels)), name
    assert found["a.nxs"]["format"] == "FormatNXmx"
    assert found["a_1.cbf"]["format"].startswith("FormatCBFFull")
    assert found["c_1.expt"]["format"].startswith("FormatSMVADSC")


@pytest.mark.parametrize("turning", [True, False])
def test_a_flat_detector_has_one_beam_centre_in_all_formats(
    dials, tmp_path: Path, turning: bool
) -> None:
    """SMV too; without rotation every file is a still."""
    scan = {} if turning else {"scan": Scan()}
    path = store(tmp_path, detector=FLAT, **scan)
    names = ("a.nxs", "a_1.cbf", "a_1.img")
    for name in names:
        done = export(path, tmp_path / name)
        assert done.beside == ()
    found = dials.look(tmp_path, "models", *names)
    for name in names:
        assert found[name]["still"] is not turning
        agree(found[name], path, turned=turning)


def test_the_sensor_is_read_where_it_is_named(dials, tmp_path: Path) -> None:
    """Of a simulated depth the experiment list has the simulated attenuation."""
    thick = Detector(
        pixels_fast=230,
        pixels_slow=150,
        pixel_size=1.1e-4,
        distance=0.1,
        thickness=3.2e-4,
        attenuation=2500.0,
    )
    path = store(tmp_path, detector=thick)
    export(path, tmp_path / "a.nxs", sensor="CdTe")
    export(path, tmp_path / "a.expt", sensor="CdTe", images=str(tmp_path / "a.nxs"))
    found = dials.look(tmp_path, "models", "a.nxs", "a.expt")
    for read in found.values():
        (panel,) = read["panels"]
        assert (panel["material"], panel["thickness"]) == ("CdTe", pytest.approx(0.32))
    assert found["a.expt"]["panels"][0]["mu"] == pytest.approx(2.5)


def square() -> tuple[DetectorPanel, ...]:
    """Panels of three sizes, turned, with axes at right angles; names out of order."""
    return tuple(replace(panel, slow=tuple(np.cross(panel.origin, panel.fast))) for panel in PANELS)


def test_panels_are_read_as_they_stand(dials, plugin: str, tmp_path: Path) -> None:
    """From NXmx, CBF and the experiment list, and from the store itself, with their pixels."""
    held = square()
    path = tmp_path / "a.zarr"
    nbdask.simulate(several(held), out=path, backend="numpy")
    names = ("a.nxs", "a_1.cbf", "a.expt")
    for name in names:
        images = {"images": str(tmp_path / "a.nxs")} if name == "a.expt" else {}
        export(path, tmp_path / name, **images)
    dials.run(tmp_path, "dials.import", "a.zarr", packages=plugin)
    found = dials.look(tmp_path, "models", *names, "imported.expt", packages=plugin)
    panels = instrument_of(Series(path), Sensor("Si", 1e-6)).panels
    with nbdask.open(path) as opened:
        image = opened["image"].values
    for name, read in found.items():
        assert read["still"]
        for number, (one, panel) in enumerate(zip(read["panels"], panels, strict=True)):
            assert one["origin"] == pytest.approx(FROM_DXTBX @ panel.origin * 1e3, abs=1e-7)
            assert one["fast"] == pytest.approx(FROM_DXTBX @ panel.fast, abs=1e-9)
            assert one["slow"] == pytest.approx(FROM_DXTBX @ panel.slow, abs=1e-9)
            assert one["pitch"] == pytest.approx([panel.pitch_fast * 1e3, panel.pitch_slow * 1e3])
            wanted, pixels = (
                image[number, : panel.n_slow, : panel.n_fast],
                np.array(read["pixels"][number]),
            )
            used = (pixels != -1) & ~np.isnan(pixels)
            wanted = np.rint(wanted) if name == "a_1.cbf" else wanted
            assert np.array_equal(pixels[used], wanted[used])
            assert used.all() or held[number].bad or held[number].bad_areas


def test_several_stores_are_one_series(dials, tmp_path: Path) -> None:
    """Steps of a rotation in one NXmx file, or in numbered files."""
    stores = []
    for number in range(3):
        scan = Scan(phi0=from_degrees(1.0 + 0.5 * number), osc=from_degrees(0.5), count=2)
        (tmp_path / str(number)).mkdir()
        stores.append(store(tmp_path / str(number), detector=FLAT, scan=scan))
    export(stores, tmp_path / "a.nxs")
    export(stores, tmp_path / "b_####.cbf")
    export(stores, tmp_path / "b.expt", images=str(tmp_path / "b_####.cbf"))
    export(stores, tmp_path / "a.expt", images=str(tmp_path / "a.nxs"))
    found = dials.look(tmp_path, "models", "a.nxs", "a.expt", "b.expt")
    for read in found.values():
        assert read["images"] == [1, 3]
        assert read["oscillation"] == pytest.approx([1.0, 0.5])
        assert read["count"] == 1


def test_stills_keep_a_crystal_each(dials, tmp_path: Path) -> None:
    """Every image its own experiment, at its own spindle angle."""
    stores = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        scan = Scan(phi0=from_degrees(30.0 * number))
        stores.append(store(tmp_path / str(number), detector=FLAT, scan=scan))
    export(stores, tmp_path / "a.nxs")
    export(stores, tmp_path / "a.expt", images=str(tmp_path / "a.nxs"))
    found = dials.look(tmp_path, "models", "a.nxs", "a.expt")
    assert [read["count"] for read in found.values()] == [2, 2]


def test_dials_opens_a_store(dials, plugin: str, tmp_path: Path) -> None:
    """Without export, by nbdask's own Format class."""
    path = store(tmp_path, beam=Beam(wavelength=1.1e-10))
    dials.run(tmp_path, "dials.import", "a.zarr", packages=plugin)
    read = dials.look(tmp_path, "models", "imported.expt", packages=plugin)["imported.expt"]
    agree(read, path)
    assert read["wavelength"] == pytest.approx(1.1)
    assert read["format"] == "FormatNbdask"
    assert np.array_equal(read["pixels"][0], np.rint(picture_of(SHAPE, 50.0)))
