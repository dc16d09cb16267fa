"""Damage to files, the same for the same number: what transfers, disks and people with time on their hands do."""

import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence

Damage = Callable[[bytes, random.Random], bytes]

INTERESTING = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers that break arithmetic."""


def mutated(samples: Mapping[str, bytes], number: int) -> tuple[str, bytes]:
    """Case `number`: the name of a sample, and the sample after one to eight damages."""
    chance = random.Random(number)
    name = chance.choice(sorted(samples))
    data = samples[name]
    others = sorted(samples)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 8))):
        if chance.random() < 0.05:
            data = _splice(data, samples[chance.choice(others)], chance)
        else:
            data = chance.choice(DAMAGES)(data, chance)
    if data.startswith(b"\x89PNG") and chance.random() < 0.7:
        data = with_checksums(data)  # else nearly every case ends at the first of them
    return name, data


def _flip(data: bytes, chance: random.Random) -> bytes:
    return _put(data, chance, lambda old: bytes([old[0] ^ 1 << chance.randrange(8)]), 1)


def _set(data: bytes, chance: random.Random) -> bytes:
    return _put(data, chance, lambda old: chance.randbytes(len(old)), chance.randint(1, 16))


def _number(data: bytes, chance: random.Random) -> bytes:
    layout = chance.choice(("B", ">H", "<H", ">I", "<I"))
    size = struct.calcsize(layout)
    value = (chance.choice(INTERESTING) + chance.choice((-1, 0, 0, 1))) % 256**size
    return _put(data, chance, lambda old: struct.pack(layout, value)[: len(old)], size)


def _early(data: bytes, chance: random.Random) -> bytes:
    """A number within the first 64 bytes, where sizes stand."""
    return _number(data[:64], chance) + data[64:]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 32)) + data[at:]


def _delete(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + data[at + chance.choice((1, 2, 4, 16, 100)) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + data[at : at + chance.randint(1, 200)] * chance.choice((1, 2, 50)) + data[at:]


def _swap(data: bytes, chance: random.Random) -> bytes:
    one, two = sorted(chance.randint(0, len(data)) for _ in range(2))
    size = min(chance.randint(1, 64), two - one)
    return data[:one] + data[two : two + size] + data[one + size : two] + data[one : one + size] + data[two + size :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def _splice(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """The beginning of one file and the end of another: polyglots."""
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


DAMAGES: Sequence[Damage] = (_flip, _flip, _set, _number, _number, _early, _insert, _delete, _repeat, _swap, _cut)


def _put(data: bytes, chance: random.Random, new: Callable[[bytes], bytes], size: int) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + new(data[at : at + size]) + data[at + size :]


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks carry the right checksums again, as far as they can be followed."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        parts += [data[position:end], struct.pack(">I", zlib.crc32(data[position + 4 : end]))]
        position = end + 4
    return b"".join(parts) + data[position:]
