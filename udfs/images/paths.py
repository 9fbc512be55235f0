"""What may be opened: paths of regular files, schemes that are allowed, no more than an image."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Callable, Iterable

from . import headers

MAX_BYTES = 1 << 30  # of one encoded image
MAX_STREAM_BYTES = 1 << 28  # of one that is no file here: its size is known when it is read
LOOKED_AT_BYTES = 1 << 24
"""After these, what does not begin as an image is read no further."""

SHOWN_LETTERS, REASON_LETTERS = 120, 200
"""The most of a value that a reason shows; and of a reason."""

LOCAL = ("file", "local")  # schemes of files here
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")


class Unreadable(Exception):
    """One image cannot be read; the text is the reason that the user sees."""


def unreadable(text: str, why: str) -> Unreadable:
    """Return the error for a path or URI: on one line, of at most REASON_LETTERS.

    Example:
        >>> print(unreadable("a.png", "no such file"))
        cannot open a.png: no such file
    """
    return Unreadable(shortened(f"cannot open {shortened(text, SHOWN_LETTERS)}: {escaped(why)}"))


def escaped(text: str) -> str:
    """Return text with what cannot be printed as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, letters: int = REASON_LETTERS) -> str:
    """Return the printable text, its middle left out where it is longer than `letters`."""
    shown = escaped(text[: 8 * letters]) + ("…" if len(text) > 8 * letters else "")
    if len(shown) <= letters:
        return shown
    half = (letters - 1) // 2
    return f"{shown[: letters - 1 - half]}…{shown[-half:]}"


def scheme_of(text: str) -> str:
    """Return the scheme of a URI; 'file' for a path."""
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else "file"
    return "file" if scheme in LOCAL else scheme


def local_path(text: str, folder: str) -> str | None:
    """Return the file that `text` names, or None where it is a URI of another scheme."""
    if scheme_of(text) != "file":
        return None
    if _SCHEME.match(text):
        from urllib.request import url2pathname  # it loads ssl, which few need

        return url2pathname(text.partition("://")[2].removeprefix("localhost"))
    if text.lower().startswith("file:/"):  # as Java and Spark write it, with one slash
        from urllib.request import url2pathname

        return url2pathname(text[len("file:") :])
    return os.path.join(folder, text)  # noqa: PTH118 - an absolute `text` wins, as it should


def check_scheme(text: str, part: str, schemes: str) -> None:
    """Hold a URI, or a part of it behind `::`, against the schemes that may be read.

    Raises:
        Unreadable: it is of none of them.
    """
    scheme = scheme_of(part)
    if any(scheme not in some for some in allowed_schemes(schemes)):
        raise unreadable(text, f"{scheme} is none of the schemes that may be read (schemes)")


def allowed_schemes(schemes: str) -> frozenset[frozenset[str]]:
    """Return the sets of which each must have a scheme that may be read; this process's among them.

    Example:
        >>> [sorted(some) for some in allowed_schemes("https, File; ;")]
        [['file', 'https']]
    """
    lists = *schemes.split(";"), os.environ.get("VISTA_SQL_SCHEMES", "")
    named = ({name.strip().lower() for name in some.split(",")} - {""} for some in lists)
    return frozenset(frozenset(names) for names in named if names)


def check_regular(text: str, path: str, absent: str = "no such file") -> os.stat_result:
    """Return a regular file's status; devices, pipes and folders are not opened.

    Raises:
        Unreadable: it is none.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - once per image
    except FileNotFoundError:
        raise unreadable(text, absent) from None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        if error.errno == errno.ENAMETOOLONG:
            why = f"{why}, and no base64 of an image"
        raise unreadable(text, why) from None
    except ValueError as error:  # a path with a NUL character
        raise unreadable(text, str(error)) from None
    if stat.S_ISDIR(status.st_mode):
        raise unreadable(text, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise unreadable(text, "it is no regular file")
    return status


def check_beginning(text: str, begin: bytes) -> None:
    """Hold the first LOOKED_AT_BYTES of a larger file against what an image begins with.

    Raises:
        Unreadable: it is none, or of a kind that is not read.
    """
    header = headers.header(memoryview(begin))
    if header.refused:
        raise unreadable(text, header.refusal)
    if not header.format:
        raise unreadable(text, "it begins as no image")


def ignored(n_bytes: int) -> None:
    """Have room for any number of bytes."""


def all_of(text: str, chunks: Iterable[bytes], grow: Callable[[int], None] = ignored) -> bytes:
    """Return the chunks of a stream as one, while they may be an image.

    Args:
        text: what is read.
        chunks: of it.
        grow: told of each; it may wait until there is room for it.

    Raises:
        Unreadable: they begin as no image does, or are more than one may be.
    """
    taken, looked = io.BytesIO(), False
    for chunk in chunks:
        grow(len(chunk))
        taken.write(chunk)
        if not looked and taken.tell() >= LOOKED_AT_BYTES:
            looked = True
            check_beginning(text, taken.getvalue())
        if taken.tell() > MAX_STREAM_BYTES:
            raise unreadable(text, f"more than {MAX_STREAM_BYTES:,} bytes: read it as a file here")
    return taken.getvalue()
