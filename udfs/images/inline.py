"""Text that holds an image itself → the image's bytes: `data:` URLs, base64; and JSON's text.

A text is base64 of an image if it begins as that of an image does (of a format that is read here,
or HEIC) and has LEAST_LETTERS. What begins so is never taken for a path; a file that is called so
can be named `./…` or `file://…`. Both forms are strict: the standard alphabet with its padding, in
which line breaks alone may stand.
"""

from __future__ import annotations

import binascii
import json
import re

from .paths import Unreadable, escaped

LEAST_LETTERS = 24

_BASE64 = re.compile(
    r"/9j/"  # JPEG: FF D8 FF
    r"|iVBORw0KGg"  # PNG
    r"|R0lGOD"  # GIF8
    r"|UklGR.{7}RUJQ"  # RIFF, its length, WEBP
    r"|AAAA..Z0eXB"  # ISO media: three zeros, a length, ftyp
    r"|SUkqA|TU0AK|SUkrA"  # TIFF: II*, MM*, MM+, II+
    r"|Qk[0-3].{5}AAAA"  # BMP: BM, its length, zeros
    r"|UD[QUY][KgJN][I-O]",  # P4, P5 or P6, a blank, a digit or #
    re.DOTALL,
)
_DATA = re.compile(r"data:image/[\w.+-]+(;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE)
_WRONG = re.compile(r"[^A-Za-z0-9+/]")

CANDIDATES = r'(?is)^\s*(data:|"|null\s*$)|^(?-i:' + _BASE64.pattern + ")"
"""Of what `unquoted` or `image` may change, as a regular expression of RE2: to look closer at."""


def unquoted(text: str) -> str | None:
    """Return the value of a JSON string, `"…"`, or of JSON's null; other text as it is.

    Example:
        >>> unquoted('"a.png"'), unquoted("a.png"), unquoted("null")
        ('a.png', 'a.png', None)
    """
    plain = text.strip()
    if plain == "null":
        return None
    if len(plain) < 2 or not plain[0] == plain[-1] == '"':
        return text
    try:
        return str(json.loads(plain))
    except ValueError:
        return text


def image(text: str) -> bytes | None:
    """Return the bytes of the image that a text holds; None: it is a path or a URI.

    Raises:
        Unreadable: it begins as such a text does, and is none.
    """
    if text[:5].lower() == "data:":
        found = _DATA.match(text)
        if not found:
            raise Unreadable("no data: URL of an image: it begins data:image/…;base64,")
        return _decoded(text[found.end() :], "data: URL")
    if len(text) >= LEAST_LETTERS and _BASE64.match(text):
        return _decoded(text, "base64")
    return None


def _decoded(text: str, form: str) -> bytes:
    """Return the bytes of base64.

    Raises:
        Unreadable: it is not well-formed.
    """
    letters = text.replace("\n", "").replace("\r", "")
    if len(letters) % 4 == 0 and not letters.endswith("==="):
        try:
            return binascii.a2b_base64(letters, strict_mode=True)
        except ValueError:  # binascii.Error is one
            pass
    wrong = _WRONG.search(letters.rstrip("="))
    if wrong:
        why = f"{escaped(wrong[0])} is letter {wrong.start() + 1:,}"
    else:
        why = "its end is missing, or its padding"
    raise Unreadable(f"malformed {form} ({len(letters):,} letters): {why}")
