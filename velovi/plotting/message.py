"""Messages to our own drawings in the browser: a header and arrays of numbers, in one piece."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_KINDS = {"i2": "<i2", "u1": "u1", "f4": "<f4", "u4": "<u4"}


def pack(header: Mapping[str, Any], parts: Mapping[str, np.ndarray]) -> bytes:
    r"""One message: length of the header, the header as JSON, then the arrays one after the other.

    ``header["parts"]`` names each array, its kind, where it begins after the header, and how many
    values it has.

    Examples
    --------
    >>> import numpy as np
    >>> message = pack({"n": 2}, {"codes": np.array([3, 4], dtype=np.uint8)})
    >>> message[-2:]
    b'\x03\x04'
    """
    listed, bodies, at = [], [], 0
    for name, values in parts.items():
        kind = next(kind for kind, code in _KINDS.items() if np.dtype(code) == values.dtype)
        body = np.ascontiguousarray(values)
        listed.append((name, kind, at, body.size))
        bodies.append(body.data)
        at += body.nbytes
    head = json.dumps({**header, "parts": listed}, allow_nan=False).encode()
    return b"".join([struct.pack("<I", len(head)), head, *bodies])


def unpack(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a message, as ``web/message.js`` reads them.

    Examples
    --------
    >>> import numpy as np
    >>> header, parts = unpack(pack({"n": 2}, {"codes": np.array([3, 4], dtype=np.uint8)}))
    >>> header["n"], parts["codes"].tolist()
    (2, [3, 4])
    """
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    parts = {
        name: np.frombuffer(message, _KINDS[kind], count, 4 + length + offset)
        for name, kind, offset, count in header["parts"]
    }
    return header, parts
