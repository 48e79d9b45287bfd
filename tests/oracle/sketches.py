"""The sketches of a quality event, read by their documentation: HyperLogLog of 2,048 registers, and a
histogram whose buckets share sign, exponent and the first four bits of the mantissa.
"""

import math
import struct

REGISTERS = 2_048


def registers(data):
    """The registers of a sketch of distinct values that are in use: index to rank."""
    if data[0] == 2:
        assert len(data) == REGISTERS + 1, "a full sketch has all registers"
        return {index: rank for index, rank in enumerate(data[1:]) if rank}
    assert data[0] == 1, f"a sketch of kind {data[0]}"
    return {index: rank for index, rank in struct.iter_unpack("<HB", data[1:])}


def merge(into, more):
    for index, rank in more.items():
        into[index] = max(rank, into.get(index, 0))


def estimate(found):
    """About how many distinct values were taken in; the standard error is 2.3 %."""
    zeros = REGISTERS - len(found)
    raw = 0.7213 / (1 + 1.079 / REGISTERS) * REGISTERS**2 / (zeros + sum(2.0**-rank for rank in found.values()))
    return REGISTERS * math.log(REGISTERS / zeros) if zeros and raw <= 2.5 * REGISTERS else raw


def bucket(value):
    """The bucket of the histogram that a number lies in."""
    index = struct.unpack(">Q", struct.pack(">d", abs(value)))[0] >> 48
    return -index if value < 0 else index
