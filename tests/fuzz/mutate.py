"""Inputs that are nearly right: seeds with a few edits, all drawn from one source of chance."""

from __future__ import annotations

from random import Random

#: What has broken parsers before: limits of types, digits of other scripts, signs of notations.
_TOKENS = [
    *("0", "-0", "-1", "1e400", "-1e400", "1e-400", "inf", "nan", "1e200", "1e-200", "0x10", "1_0"),
    *("2147483647", "2147483648", "-2147483649", "18446744073709551616", "9" * 400, "9" * 5000),
    *("\u0663\u0662", "\u00b2", "\u202e", "\u00a0", "\ufeff", "\u2028", "\U0001f52c"),
    *("true", "null", "[]", "{}", "[[1,2]]", "[" * 300, "{" * 300, '"', "'", "#", "=", ";", ","),
    *("1979-05-27", "\\u0000", "\\ud800", "__class__", "%s", "$(id)", "../" * 9, "/dev/zero"),
    *("\x00", "\x1b[2J", "\r", "\n", "\t", "\x7f", " " * 300),
]
TOKENS = [token.encode("utf-8") for token in _TOKENS] + [b"\xff\xfe", b"\xc3", b"\x80" * 9]
#: Bytes beyond which an input does not grow.
_MOST = 1 << 16


def mutated(chance: Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds after one to six edits.

    Parameters
    ----------
    chance : Random
    seeds : list of bytes
    """
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 1, 2, 4, 8, 64)))
        kind = chance.randint(0, 6)
        if kind == 0:
            data[start:end] = b""
        elif kind == 1:
            data[start:end] = chance.choice(TOKENS)
        elif kind == 2 and start < len(data):
            data[start] ^= 1 << chance.randint(0, 7)
        elif kind == 3:
            data[start:start] = data[start:end] * chance.choice((1, 2, 50))
        elif kind == 4:
            other = chance.choice(seeds)
            place = chance.randint(0, len(other))
            data[start:end] = other[place : place + chance.choice((1, 4, 16, 256))]
        elif kind == 5:
            data[start:end] = bytes(chance.randint(0, 255) for _ in range(end - start))
        else:
            _swap_number(chance, data, start)
    return bytes(data[:_MOST])


def _swap_number(chance: Random, data: bytearray, start: int) -> None:
    """Put a token in place of the next number."""
    digits = b"0123456789+-.eE"
    while start < len(data) and data[start] not in digits:
        start += 1
    end = start
    while end < len(data) and data[end] in digits:
        end += 1
    data[start:end] = chance.choice(TOKENS)
