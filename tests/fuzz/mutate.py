"""Ways to damage a file."""

from __future__ import annotations

import json
import random
import re
import struct
from typing import Any

__all__ = ["damaged", "damaged_text", "odd_json"]

#: Extreme values of integers of 1, 2, 4 and 8 bytes.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_NUMBERS = ("0", "-1", "1e300", "1e-300", "NaN", "Infinity", "-1e20", "1.5", "9" * 400, "0x", "")
_WORDS = (b"", b"\xff\xfe", b"\x00", b"%s%n", b"x" * 5000, b"../../..", b"\xed\xa0\x80", b'"', b"<")
#: Values of unexpected types.
_ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.001, 1.5, 1e300, -1e300, float("nan"), float("inf"), 10**30),
    *("", "text", "1e400", "\x00", "\ud800", "x" * 3000, [], {}, [1], {"a": 1}, [[[[1]]]]),
)
_DEEP = 100_000


def damaged(data: bytes, rng: random.Random, *, is_text: bool = False) -> bytes:
    """Return a file's bytes with one to three kinds of damage."""
    kinds = [*_BYTES, *([damaged_text] * len(_BYTES) if is_text else [])]
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(kinds)(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    """Return where to damage: half of the time among the first bytes, where headers are."""
    return rng.randrange(max(1, min(len(data), 256 if rng.random() < 0.5 else len(data))))


def _flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 4, 32))):
        if out:
            out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _extreme(data: bytes, rng: random.Random) -> bytes:
    code = rng.choice("BHIQ")
    size = struct.calcsize(code)
    value = rng.choice([number for number in _EXTREMES if number < 256**size])
    at = _place(data, rng) // 2 * 2
    return data[:at] + struct.pack(rng.choice("<>") + code, value) + data[at + size :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _hole(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((4, 64, 1024))
    return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]


def _removed(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 7, 200)) :]


def _repeated(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((1, 16, 600))
    return data[:at] + data[at : at + size] * rng.choice((2, 50)) + data[at + size :]


def _noise(data: bytes, rng: random.Random) -> bytes:
    at, size = _place(data, rng), rng.choice((2, 40, 500))
    return data[:at] + rng.randbytes(size) + data[at + size :]


_BYTES = (_flipped, _extreme, _cut, _hole, _removed, _repeated, _noise)


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    """Return text with a number, a word or a line changed, or with endless brackets."""
    kind = rng.randrange(6)
    if kind == 0:
        found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?", data))
        return _swapped(data, found, rng.choice(_NUMBERS).encode(), rng)
    if kind == 1:
        found = list(re.finditer(rb"[A-Za-z_]{2,}", data))
        return _swapped(data, found, rng.choice(_WORDS), rng)
    if kind == 2:
        found = list(re.finditer(rb'"[^"]*"', data))
        return _swapped(data, found, rng.choice((b"[]", b"{}", b"null", b"1", b'"\xe4"')), rng)
    if kind == 3:
        lines = data.splitlines(keepends=True) or [b""]
        del lines[rng.randrange(len(lines))]
        return b"".join(lines)
    if kind == 4:
        lines = data.splitlines(keepends=True) or [b""]
        at = rng.randrange(len(lines))
        return b"".join([*lines[:at], lines[at] * rng.choice((2, 100)), *lines[at:]])
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((b"[", b"{", b'{"a":', b"<a>", b"(")) * _DEEP + data[at:]


def _swapped(data: bytes, found: list[re.Match[bytes]], new: bytes, rng: random.Random) -> bytes:
    if not found:
        return data + new
    match = rng.choice(found)
    return data[: match.start()] + new + data[match.end() :]


def odd_json(value: Any, rng: random.Random) -> str:
    """Return JSON text of a value in which one to three values are replaced by odd ones."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _with_odd(value, rng)
    if rng.random() < 0.05:
        return "[" * _DEEP
    return json.dumps(value)


def _with_odd(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.25 or not isinstance(value, (dict, list)) or not value:
        return rng.choice(_ODD)
    if isinstance(value, list):
        at = rng.randrange(len(value))
        return [*value[:at], _with_odd(value[at], rng), *value[at + 1 :]]
    key = rng.choice(list(value))
    if rng.random() < 0.1:
        return {**value, f"{key}x": value[key]}
    if rng.random() < 0.1:
        return {name: item for name, item in value.items() if name != key}
    return {**value, key: _with_odd(value[key], rng)}
