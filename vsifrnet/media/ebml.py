"""Elements of EBML (RFC 8794), the format that Matroska is written in."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["element", "elements", "head", "number", "void"]

VOID = b"\xec"


def elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give ID and content of each of the elements that follow one another in ``data``."""
    at = 0
    while at < len(data):
        name, size, length = head(data[at : at + 12])
        yield name, data[at + length : at + length + size]
        at += length + size


def head(data: bytes) -> tuple[bytes, int, int]:
    """Return an element's ID, the size of its content, and the size of these two."""
    name = data[: 9 - data[0].bit_length()]
    first = data[len(name)]
    count = 9 - first.bit_length()  # leading zeros of the first byte say how many there are
    digits = data[len(name) : len(name) + count]
    size = int.from_bytes(digits, "big") - (1 << (7 * count))
    return name, size, len(name) + count


def element(name: bytes, content: bytes) -> bytes:
    count = next(n for n in range(1, 9) if len(content) < (1 << (7 * n)) - 1)
    return name + (len(content) + (1 << (7 * count))).to_bytes(count, "big") + content


def void(size: int) -> bytes:
    """Return an element without meaning, of ``size`` bytes."""
    if size < 10:
        raise ValueError(f"size={size}: must be at least 10")
    return VOID + (size - 9 + (1 << 56)).to_bytes(8, "big") + bytes(size - 9)


def number(value: int) -> bytes:
    """Return the content of an element that is an unsigned number."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
