"""Every error that vista_sql raises on purpose.

    VistaError
    ├── QueryError               the statement is at fault; knows its place in the user's text
    │   ├── ArgumentError        an argument is missing, unknown or has a value it cannot have
    │   └── UnknownNameError     a cnn, layer, column, table, option or model that does not exist
    ├── PlanError                no plan can run this workload here
    ├── WeightsError             a CNN's weights are missing, damaged or of another network
    ├── UnreadableImageError     an image cannot be read (only with on_error => 'raise')
    ├── TFRecordError            a TFRecord file is missing, broken, or does not fit its columns
    ├── ModelError               training data or a kept model is at fault
    ├── SettingError             a setting has a value it cannot have
    ├── StoreError               the feature store that the user named cannot be used
    └── HostError                the engine that runs the plan failed
        └── StreamedError        rows that went by already are asked for once more

A message is one sentence: what is wrong, where, what was found, what to do. `args` equal the
constructor's arguments, so that an error survives pickling and crosses processes unchanged.

Who raises an error often knows the name at fault and not where it stands in the statement. Who
knows that adds it: `raise error.at(place) from None`.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterable
from copy import copy
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Self

from msgspec import Struct

MOST_FRAMES = 5  # of the user's own code, under a notebook's cell


class Place(Struct, frozen=True):
    """Where in the user's text something stands: characters [start, end) of `text`."""

    text: str
    start: int
    end: int

    def underline(self, width: int | None = None) -> str:
        """Return the line of the text that holds the place, with carets under the place.

        Args:
            width: most characters of a line returned; a longer one is cut on both sides. None: any.
        """
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line = self.text[line_start : len(self.text) if line_end < 0 else line_end]
        number = self.text.count("\n", 0, self.start) + 1
        head = f"LINE {number}: "
        start = self.start - line_start
        carets = max(1, min(self.end - line_start, len(line)) - start)
        room = max(20, width - len(head)) if width else len(line)
        if len(line) > room:
            first = max(0, min(start - room // 3, len(line) - room))
            before, after = "…" if first else "", "…" if first + room < len(line) else ""
            part = line[first + len(before) : first + room - len(after)]
            line, start = f"{before}{part}{after}", start - first
            carets = min(carets, len(line) - start)
        return f"{head}{line}\n{' ' * (len(head) + start)}{'^' * carets}"


class VistaError(Exception):
    """Base of every error that vista_sql raises on purpose."""

    place: Place | None = None

    def at(self, place: Place | None) -> Self:
        """Return the error with the place in the statement that it is about.

        Args:
            place: where; None: not known, and the error stays as it is.

        Returns:
            An error of the same class, fields and traceback. A place that is there already stays,
            and an error that is not about a statement's text has none.
        """
        if place is None or self.place is not None:
            return self
        return self._at(place).with_traceback(self.__traceback__)

    def _at(self, place: Place) -> Self:
        """Return a copy with a place; the classes whose errors have one say how."""
        del place
        return self

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: where in the user's own code, and the sentence.

        IPython asks an exception for it; `%debug` still finds every frame.
        """
        own = [
            (frame, line)
            for frame, line in traceback.walk_tb(self.__traceback__)
            if not _is_library(frame)
        ]
        shown = traceback.StackSummary.extract(iter(own[-MOST_FRAMES:])).format()
        return [*"".join(shown).splitlines(), f"{type(self).__name__}: {self}"]


def _is_library(frame: FrameType) -> bool:
    """Return whether code is ours, Python's or a library's, and no user's."""
    if frame.f_globals.get("__name__", "").partition(".")[0] == "vista_sql":
        return True
    folders = map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))
    return any(Path(frame.f_code.co_filename).is_relative_to(folder) for folder in folders)


class QueryError(VistaError):
    """A statement cannot be planned as it is written."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message, place)
        self.message, self.place = message, place

    def _at(self, place: Place) -> Self:
        return type(self)(self.message, place)

    def moved(self, place: Place | None) -> Self:
        """Return the error with this place: the one that it has is in a text of ours."""
        error = self._at(place) if place is not None else copy(self)
        error.place = place
        return error.with_traceback(self.__traceback__)

    def __str__(self) -> str:
        return self.message if self.place is None else f"{self.message}\n{self.place.underline()}"


class ArgumentError(QueryError):
    """An argument is missing, unknown, or has a value it cannot have."""


class UnknownNameError(QueryError):
    """A statement names something that does not exist; the nearest name is offered.

    Attributes:
        kind: what the name should be one of, in a user's words: 'cnn', 'label column'.
        name: the name that does not exist, as it is written.
        known: the names that do.
        where: what was searched, in a user's words; "" where that goes without saying.
        argument: the argument of a SQL function that holds the name.

    Example:
        >>> print(UnknownNameError("label column", "pricee", ["price", "id"], argument="label"))
        unknown label column 'pricee'; did you mean 'price'? there is: price, id
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        place: Place | None = None,
        where: str = "",
        argument: str = "",  # "": it is called as the kind is
    ) -> None:
        known = tuple(known)
        self.kind, self.name, self.known, self.where = kind, name, known, where
        self.argument = argument or kind
        super().__init__(self._sentence(), place)
        self.args = (kind, name, known, place, where, argument)

    def _at(self, place: Place) -> Self:
        kind, name, known, _, where, argument = self.args
        return type(self)(kind, name, known, place, where, argument)

    def _sentence(self) -> str:
        ends = {name.rpartition("/")[2].lower(): name for name in self.known}  # 'backbone/conv'
        by_lower = ends | {name.lower(): name for name in self.known}
        close = get_close_matches(self.name.lower(), by_lower, n=1, cutoff=0.5)
        hint = f"did you mean {by_lower[close[0]]!r}? " if close else ""
        first = ", ".join(self.known[:40]) + (", …" if len(self.known) > 40 else "")
        where = f" in {self.where}" if self.where else ""
        choice = f"there is: {first}" if self.known else "there is none"
        return f"unknown {self.kind} {self.name!r}{where}; {hint}{choice}"


class PlanError(VistaError):
    """No plan can run this workload within the limits; the message says what would fit."""


class WeightsError(VistaError):
    """Weights are missing, damaged, or of another network."""


class UnreadableImageError(VistaError):
    """An image cannot be read and the statement asks to fail then."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return (
            f"image of key {self.key!r} cannot be read: {self.reason}; mend or remove it, or use "
            "on_error => 'null' (NULL features, the reason in column error) or 'skip'"
        )


class UnreadableImagesWarning(UserWarning):
    """Images of a statement could not be read: a Python warning, since its rows are returned."""


class EngineWarning(UserWarning):
    """A model's features come from another engine than those that it was trained on."""


class ProgressWarning(UserWarning):
    """A `progress` callback raised an error: a Python warning, since the statement goes on."""


class TFRecordError(VistaError):
    """A TFRecord file is missing, broken, or does not fit the columns it is read as."""

    def __init__(
        self, file: str, reason: str, record: int | None = None, byte: int | None = None
    ) -> None:
        super().__init__(file, reason, record, byte)
        self.file, self.reason, self.record, self.byte = file, reason, record, byte

    def __str__(self) -> str:
        if self.record is None:
            return f"{self.file}: {self.reason}"
        place = f"record {self.record} (counted from 0), at byte {self.byte}"
        return f"{self.file}, {place}: {self.reason}"


class ModelError(VistaError):
    """Training data, or a kept model, cannot be used as the statement asks."""


class SettingError(VistaError):
    """A setting has a value it cannot have; the message names the setting and its source."""


class StoreError(VistaError):
    """The feature store cannot be used; an error of a statement only where it names the folder."""


class HostError(VistaError):
    """The engine that runs the plan failed."""


class StreamedError(HostError, TypeError):
    """Rows went by already; a TypeError too, so that `list(result)` does without its length."""
