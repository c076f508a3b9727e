"""Machine code without Numba: how arguments are handed over, damaged files, what cannot be run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import NamedTuple

import numba
import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.kernels import cache, compiled, machine_code, numba_kernel
from nbdask.kernels.compiled import Compiled
from nbdask.kernels.machine_code import (
    Code,
    Packed,
    UnfitCodeError,
    code_from_bytes,
    kinds_of,
    letters_of,
    load,
    undefined_symbols,
)
from nbdask.kernels.numba_jit import compile_entry, entry
from nbdask.kernels.numba_kernel import NumbaKernel
from nbdask.kernels.numba_warmup import warm_models

pytestmark = pytest.mark.skipif(
    not machine_code.can_run_code(), reason="object files of 64 bit Linux only"
)


class Pair(NamedTuple):
    """Something to take apart."""

    numbers: np.ndarray
    factor: float


@entry
def weigh(pair, whole, flags, out):
    """Leave a mark of every argument in ``out``; return how many numbers there are."""
    total = 0.0
    for i in range(pair.numbers.shape[0]):
        for j in range(pair.numbers.shape[1]):
            total += pair.numbers[i, j] * pair.factor
    out[0] = total + np.cos(out[1])
    out[1] = 1.0 if flags[0] else -1.0
    out[2] = 1.0 if flags[1] else -1.0
    out[3] = whole[0] + whole[1]
    return pair.numbers.size


@entry
def double(out):
    """Return nothing."""
    for i in range(out.size):
        out[i] *= 2.0


def arguments(factor=0.5):
    """Return arguments of every kind, and where the answers go."""
    out = np.zeros(4, dtype=np.float32)
    return Pair(np.arange(6.0).reshape(2, 3), factor), (2**40, -3), (True, False), out


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """An empty folder of compiled code."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    cache.cache_directory.cache_clear()
    yield tmp_path
    cache.cache_directory.cache_clear()


def fresh(name="weigh"):
    """Return the function as a new process sees it: nothing loaded."""
    return Compiled(__name__, name)


def files(folder):
    """Return the files of compiled code."""
    return sorted(folder.glob("*/code/*/*"))


def check(function):
    """Call it and look at all that it left."""
    given = arguments()
    assert function(*given) == 6
    assert given[-1].tolist() == [8.5, 1.0, -1.0, np.float32(2**40 - 3)]


def test_kinds_tell_apart_what_is_compiled_apart():
    """Names of tuples, counts, types and dimensions; values do not matter."""
    assert kinds_of(arguments()) == "(Pair(f8x2,d),(i,i),(b,b),f4x1)"
    assert kinds_of(arguments(3.0)) == kinds_of(arguments())
    assert letters_of((1.0, (2, True), np.zeros((2, 2)))) == "dibppiipiiii"


@pytest.mark.parametrize(
    "value", [np.zeros((4, 4))[:, ::2], np.zeros(4, dtype=">f8"), "text", np.int64(3)]
)
def test_what_cannot_be_handed_over_is_refused(value):
    """Arrays with gaps or of the other byte order, and other objects."""
    with pytest.raises(TypeError, match="compiled functions take"):
        kinds_of((value,))


def test_every_kind_of_argument_arrives(folder):
    """Compiled the first time, from the file the second."""
    function = fresh()
    assert not function.is_ready(*arguments())
    check(function)
    check(function)
    again = fresh()
    assert again.is_ready(*arguments())
    check(again)
    assert len(files(folder)) == 1


def test_packed_arguments_are_those_they_were_made_of(folder):
    """The same kinds, the same code; what is in an array may change."""
    pair, whole, flags, out = arguments()
    packed = Packed(pair, whole)
    assert kinds_of((packed, flags, out)) == kinds_of(arguments())
    assert letters_of((packed, flags, out)) == letters_of(arguments())
    function = fresh()
    assert function(packed, flags, out) == 6
    assert out[0] == 8.5
    pair.numbers[:] = 1.0
    out[:] = 0.0
    assert function(packed, flags, out) == 6
    assert out[0] == 4.0
    check(function)
    assert len(files(folder)) == 1


def test_a_function_without_a_result_gives_0(folder):
    """And does its work."""
    out = np.arange(3.0)
    assert fresh("double")(out) == 0
    assert out.tolist() == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "head", "other"])
def test_a_damaged_file_is_made_again(folder, damage):
    """Never run: its checksum says what it is."""
    check(fresh())
    (file,) = files(folder)
    content = file.read_bytes()
    broken = {
        "cut": content[:-100],
        "flipped": content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
        "empty": b"",
        "head": content.replace(b'"symbol": "_', b'"symbol": "-', 1),
        "other": content.replace(b"f4x1", b"f8x1", 1),
    }[damage]
    file.write_bytes(broken)
    check(fresh())
    # Numba numbers what it compiles, so the name in the file is another.
    assert kinds_of(arguments()) == code_from_bytes(file.read_bytes(), kinds_of(arguments())).kinds


def test_code_that_calls_what_is_not_there_is_not_loaded():
    """LLVM would end the process."""
    given = arguments()
    code = compile_entry(weigh, kinds_of(given), given)
    assert "NRT_MemInfo_call_dtor" not in code.needed
    assert code.needed == undefined_symbols(code.content)
    other = Code(code.symbol, code.kinds, (*code.needed, "no_such_function_7"), code.content)
    with pytest.raises(UnfitCodeError, match="needs no_such_function_7"):
        load(other, given)
    with pytest.raises(UnfitCodeError, match="ELF"):
        undefined_symbols(b"MZ" + code.content)
    with pytest.raises(UnfitCodeError):
        code_from_bytes(code.to_bytes(), "(d)")


def test_many_threads_may_call_it(folder):
    """The first of them compiles, the others wait; every call has its own result."""
    function = fresh()

    def call(number):
        given = arguments(float(number))
        return function(*given), float(given[-1][0])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(call, range(64)))
    assert found == [(6, 15.0 * number + 1.0) for number in range(64)]
    assert len(files(folder)) == 1


def test_other_systems_use_numbas_own_files(folder, monkeypatch):
    """The same results, and the same answer to whether anything must be compiled."""
    monkeypatch.setattr(compiled, "can_run_code", lambda: False)
    function = fresh()
    assert not function.is_ready(*arguments())
    check(function)
    assert fresh().is_ready(*arguments())
    check(fresh())


def test_a_folder_that_cannot_be_written_only_costs_time(folder, monkeypatch):
    """The code is run from memory."""
    monkeypatch.setattr(compiled, "code_folders", lambda _: [folder / "file" / "code"])
    (folder / "file").write_text("")
    check(fresh())
    assert not files(folder)


def test_a_folder_that_others_filled_is_read(folder, monkeypatch):
    """Where this process cannot write: nothing is compiled again."""
    check(fresh())
    (file,) = files(folder)
    assert file.stat().st_mode & 0o444 == 0o444
    own = folder / "own"
    monkeypatch.setattr(cache, "_is_writable", lambda path: False)
    monkeypatch.setattr(cache, "_private_directory", lambda: own)
    own.mkdir()
    cache.cache_directory.cache_clear()
    monkeypatch.setattr(compiled, "check_compiler", None)
    assert fresh().is_ready(*arguments())
    check(fresh())


def test_a_numba_that_compiles_nothing_is_told_in_one_line(folder, monkeypatch):
    """It is broken, or was told so; before anything is written."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(BackendError, match="NUMBA_DISABLE_JIT"):
        fresh()(*arguments())

    def broken(name):
        raise ImportError(f"{name} needs another NumPy")

    monkeypatch.setattr(compiled, "importlib", SimpleNamespace(import_module=broken))
    # Another test may have loaded it.
    unloaded = Compiled("nbdask.kernels.numba_loops", "sum_steps")
    monkeypatch.setattr(numba_kernel, "_SUM_STEPS", unloaded)
    with pytest.raises(BackendError, match=r"numba cannot be imported .numba needs another NumPy"):
        NumbaKernel().needs_compiling(next(warm_models()))


def test_a_simulation_from_the_cache_does_not_import_numba(tmp_path):
    """Nor any of what takes long to import: the store is complete all the same."""
    words = "-cell 70 80 90 90 90 90 -default_F 10 -N 5 -detpixels 8 -distance 100 -lambda 1"
    script = (
        "import sys; from nbdask.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "print(code, 'numba' in sys.modules, 'distributed' in sys.modules)"
    )

    def numba_imported(name):
        done = subprocess.run(
            [
                *(sys.executable, "-c", script, "simulate", *words.split()),
                *("--out", str(tmp_path / name), "--quiet"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        code, numba, distributed = done.stdout.split()
        assert (code, distributed) == ("0", "False")
        return numba

    # The first fills the cache, unless another test did.
    numba_imported("a.zarr")
    assert numba_imported("b.zarr") == "False"
