"""The frames of a TFRecord file: each record between its length and its checksums, all checked.

A record is its length (uint64), the masked CRC-32C of these 8 bytes (uint32), its bytes, and the
masked CRC-32C of them (uint32), all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import google_crc32c
from msgspec import Struct

from vista_sql.errors import TFRecordError
from vista_sql.tfrecord import files
from vista_sql.tfrecord.files import Compression, Positions, Stream

_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")

MOST_BYTES = (1 << 31) - 1
"""Of one record: what a protocol buffer can hold."""


class Record(Struct, frozen=True):
    """One record: its number in the file, from 0; its byte offset, after decompression; its bytes.

    `end` is the offset of the next one.
    """

    number: int
    offset: int
    data: bytes
    end: int


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C of bytes, as the format has it.

    Example:
        >>> hex(masked_crc(bytes(8)))
        '0x7980329'
    """
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """Return one record with its length and checksums."""
    length = len(data).to_bytes(8, "little")
    return b"".join((length, _CRC.pack(masked_crc(length)), data, _CRC.pack(masked_crc(data))))


def compression_of(head: bytes) -> Compression:
    """Return how a file is compressed by its first 12 bytes.

    A plain file begins with a length that fits its checksum, which no compressed one does.
    """
    if len(head) == _HEAD.size:
        _, crc = _HEAD.unpack(head)
        if masked_crc(head[:8]) == crc:
            return "none"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    if len(head) >= 2 and head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    return "none"


@contextmanager
def opened(name: str, offset: int = 0, positions: Positions | None = None) -> Iterator[Stream]:
    """Open a file at a byte offset, after decompression.

    Raises:
        TFRecordError: it cannot be opened.
    """
    with files.opened(name) as file:
        compression = compression_of(file.read(_HEAD.size))
        file.seek(0)
        stream = Stream(name, file, compression)
        stream.seek(offset, positions or Positions())
        yield stream


def read(stream: Stream, number: int = 0) -> Iterator[Record]:
    """Yield the records from where a stream is.

    Args:
        stream: at the beginning of a record.
        number: which record that is.

    Raises:
        TFRecordError: a record is broken; names it.
    """
    while True:
        offset = stream.offset

        def broken(reason: str, number: int = number, offset: int = offset) -> TFRecordError:
            return TFRecordError(stream.name, f"{reason}; write the file again", number, offset)

        head = stream.read(_HEAD.size)
        if not head:
            return
        if len(head) < _HEAD.size:
            raise broken(f"the file ends after {len(head)} of the {_HEAD.size} bytes of its head")
        length, crc = _HEAD.unpack(head)
        if masked_crc(head[:8]) != crc:
            reason = "the checksum of its length is wrong"
            raise broken(reason if number else f"{reason}, so this may be no TFRecord file")
        if length > MOST_BYTES:
            raise broken(f"its length is {length} bytes, more than an Example can have")
        data = stream.read(length)
        tail = stream.read(_CRC.size)
        if len(tail) < _CRC.size:
            missing = length + _CRC.size - len(data) - len(tail)
            raise broken(f"the file ends {missing} bytes before the record does")
        if masked_crc(data) != _CRC.unpack(tail)[0]:
            raise broken(f"the checksum of its {length} bytes is wrong")
        yield Record(number, offset, data, stream.offset)
        number += 1
