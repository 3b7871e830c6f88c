"""XXH64 as its specification says it, one byte and one lane at a time, and the key of a history's entry made of it.

Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. Spark begins with the seed 42 and takes the hash
of each value as the seed of the next.
"""

_MASK = 2**64 - 1
_ONE, _TWO, _THREE, _FOUR, _FIVE = (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
)  # fmt: skip


def entry_key(event_id: str, item_position: int) -> int:
    """Signed, as Spark's bigint."""
    found = xxh64(item_position.to_bytes(4, "little", signed=True), xxh64(event_id.encode(), 42))
    return found - 2**64 if found >= 2**63 else found


def xxh64(data: bytes, seed: int) -> int:
    """The hash of bytes, unsigned."""
    rest = data
    if len(data) >= 32:
        lanes = [(seed + _ONE + _TWO) & _MASK, (seed + _TWO) & _MASK, seed, (seed - _ONE) & _MASK]
        while len(rest) >= 32:
            lanes = [_round(lane, _number(rest[8 * n : 8 * n + 8])) for n, lane in enumerate(lanes)]
            rest = rest[32:]
        total = sum(_turned(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            total = ((total ^ _round(0, lane)) * _ONE + _FOUR) & _MASK
    else:
        total = (seed + _FIVE) & _MASK
    total = (total + len(data)) & _MASK
    while len(rest) >= 8:
        total = (_turned(total ^ _round(0, _number(rest[:8])), 27) * _ONE + _FOUR) & _MASK
        rest = rest[8:]
    if len(rest) >= 4:
        total = (_turned(total ^ (_number(rest[:4]) * _ONE & _MASK), 23) * _TWO + _THREE) & _MASK
        rest = rest[4:]
    for byte in rest:
        total = _turned(total ^ (byte * _FIVE & _MASK), 11) * _ONE & _MASK
    total = (total ^ total >> 33) * _TWO & _MASK
    total = (total ^ total >> 29) * _THREE & _MASK
    return total ^ total >> 32


def _round(lane: int, value: int) -> int:
    return _turned((lane + value * _TWO) & _MASK, 31) * _ONE & _MASK


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
