"""What an argument of a SQL function may be: the written value, checked and read as Python's.

An argument has a kind; a call reads each argument by it, in one place. Kinds know nothing of the
statement: a call adds the argument's place to what a kind refuses. A function whose argument is of
no kind here defines its own beside it.

    >>> Number(0, 1).read("l1_ratio", 1)
    1.0
    >>> OneOf(("inner", "left")).read("join_type", "LEFT")
    'left'
    >>> Number(0, 1).read("l1_ratio", 1.5)
    Traceback (most recent call last):
    vista_sql.errors.ArgumentError: l1_ratio must be a number in [0, 1], not 1.5
"""

from __future__ import annotations

from math import inf, isfinite
from typing import Protocol

from msgspec import Struct

from vista_sql import settings
from vista_sql.errors import ArgumentError, SettingError, UnknownNameError
from vista_sql.settings import alternatives, shown
from vista_sql.units import parse_bytes

BIGINT = range(-(2**63), 2**63)


class Kind(Protocol):
    """What an argument may be."""

    @property
    def words(self) -> str:
        """What may be written, in a user's words, as they stand after "must be"."""

    def read(self, name: str, value: object) -> object:
        """Return what a written value means, as a value of the kind's Python type.

        Args:
            name: of the argument, for the message.
            value: a bool, int, float or str, or a list or mapping of them; not None.

        Raises:
            ArgumentError, UnknownNameError: it means nothing; the place is not known here.
        """


def wrong(name: str, words: str, value: object) -> ArgumentError:
    """Return the error about an argument's value that is none of its kind.

    Example:
        >>> print(wrong("label", "text", 3))
        label must be text, not 3
    """
    return ArgumentError(f"{name} must be {words}, not {shown(value)}")


class Text(Struct, frozen=True):
    """One text, read as str."""

    words: str = "text"
    may_be_empty: bool = True

    def read(self, name: str, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str) or not (value or self.may_be_empty):
            raise wrong(name, self.words, value)
        return value


class Flag(Struct, frozen=True):
    """A BOOLEAN, read as bool."""

    words: str = "true or false"

    def read(self, name: str, value: object) -> bool:
        """Return the flag."""
        if not isinstance(value, bool):
            raise wrong(name, self.words, value)
        return value


class Number(Struct, frozen=True):
    """A number within [least, most], read as float; a whole one (a BIGINT) as int."""

    least: float = -inf
    most: float = inf
    whole: bool = False

    @property
    def words(self) -> str:
        """What may be written.

        Example:
            >>> Number(1, whole=True).words
            'a whole number of at least 1'
        """
        number = "a whole number" if self.whole else "a number"
        if self.most < inf:
            return f"{number} in [{self.least:g}, {self.most:g}]"
        return f"{number} of at least {self.least:g}" if self.least > -inf else number

    def read(self, name: str, value: object) -> int | float:
        """Return the number."""
        match value:
            case bool():
                pass
            case int() if self.least <= value <= self.most and (value in BIGINT or not self.whole):
                return value if self.whole else float(value)
            case float() if self.least <= value <= self.most and not self.whole:
                return value
        raise wrong(name, self.words, value)


class Numbers(Struct, frozen=True):
    """One number or a list of them, read as a tuple of different floats."""

    each: Number

    @property
    def words(self) -> str:
        """What may be written."""
        return f"{self.each.words}, or a list of them"

    def read(self, name: str, value: object) -> tuple[float, ...]:
        """Return the numbers in their order, none twice."""
        numbers = value if isinstance(value, list | tuple) else [value]
        if not numbers:
            raise ArgumentError(f"{name} must be {self.words}, not an empty list")
        return tuple(dict.fromkeys(self.each.read(name, number) for number in numbers))


class PerChannel(Struct, frozen=True):
    """A number for all channels of an image, or one for each, read as a tuple of float."""

    may_be_zero: bool = True

    @property
    def words(self) -> str:
        """What may be written."""
        kind = "a number" if self.may_be_zero else "a number other than 0"
        return f"{kind}, or a list of one for each channel"

    def read(self, name: str, value: object) -> tuple[float, ...]:
        """Return the numbers in their order."""
        numbers = value if isinstance(value, list | tuple) else [value]
        for number in numbers:
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            if not is_number or not isfinite(number) or not (number or self.may_be_zero):
                raise wrong(name, self.words, value)
        if len(numbers) not in (1, 3):
            raise ArgumentError(f"{name} must be {self.words}, and has {len(numbers)}")
        return tuple(map(float, numbers))


class OneOf(Struct, frozen=True):
    """One of a few words, in any case, read as the word in lower case."""

    values: tuple[str, ...]

    @property
    def words(self) -> str:
        """What may be written."""
        return alternatives(self.values)

    def read(self, name: str, value: object) -> str:
        """Return the word."""
        if not isinstance(value, str) or value.lower() not in self.values:
            raise UnknownNameError(name, str(value), self.values)
        return value.lower()


class Names(Struct, frozen=True):
    """One name or a list of them, read as a tuple of str; an empty list is one."""

    words: str = "a name or a list of names"

    def read(self, name: str, value: object) -> tuple[str, ...]:
        """Return the names in their order."""
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n for n in names):
            raise wrong(name, self.words, value)
        return tuple(names)


class KeyNames(Struct, frozen=True):
    """The key of two relations, read as (its name in the structured one, in the image one)."""

    words: str = "'name' or ['structured_name', 'image_name']"

    def read(self, name: str, value: object) -> tuple[str, str]:
        """Return the names; one name is that of both."""
        match value:
            case str(both) | [str(both)] if both:
                return both, both
            case [str(structured), str(image)] if structured and image:
                return structured, image
        raise wrong(name, self.words, value)


class LayerNames(Struct, frozen=True):
    """Layers of a CNN, one or a list, read as a tuple of str or of int; -1 is the topmost.

    Which layers a CNN has is not known here.
    """

    words: str = "names or negative integers"

    def read(self, name: str, value: object) -> tuple[str | int, ...]:
        """Return the layers as they are written, all names or all integers."""
        layers = tuple(value) if isinstance(value, list | tuple) else (value,)
        types = {type(layer) for layer in layers}
        if types == {int, str}:
            raise ArgumentError(f"{name} are all names or all integers, not both: {value!r}")
        if types not in ({int}, {str}):
            raise wrong(name, self.words, value)
        return layers


class OneLayer(Struct, frozen=True):
    """A layer of a CNN or a column of features, read as str; or as int, -1 being the topmost."""

    words: str = "a name or a negative integer"

    def read(self, name: str, value: object) -> str | int:
        """Return the layer as it is written."""
        match value:
            case bool() | "":
                pass
            case int() | str():
                return value
        raise wrong(name, self.words, value)


class RelationText(Struct, frozen=True):
    """A name, a query or a path, read as its text: `planner.relation` makes it stand after FROM."""

    words: str = "a relation as text: 'name', '(SELECT …)' or a path"

    def read(self, name: str, value: object) -> str:
        """Return the text."""
        if not isinstance(value, str) or not value.strip():
            raise wrong(name, self.words, value)
        return value


class ByteSize(Struct, frozen=True):
    """A size of memory or of a file, read as int, in bytes."""

    words: str = "a size, like '32GB' or a number of bytes"

    def read(self, name: str, value: object) -> int:
        """Return the bytes, at least one."""
        match value:
            case str():
                try:
                    n_bytes = parse_bytes(value)
                except ValueError:
                    n_bytes = 0
            case int() | float() if not isinstance(value, bool) and 0 < value < inf:
                n_bytes = int(value)
            case _:
                n_bytes = 0
        if n_bytes < 1:
            raise wrong(name, self.words, value)
        return n_bytes


class SettingValue(Struct, frozen=True):
    """A statement's own value of a setting, read as the setting reads it; '' is none."""

    name: str

    @property
    def words(self) -> str:
        """What may be written."""
        return settings.setting(self.name).values

    def read(self, name: str, value: object) -> object:
        """Return the setting's value."""
        if value == "":
            return None
        if not isinstance(value, bool | int | float | str):
            raise wrong(name, self.words, value)
        try:
            return settings.setting(self.name).value(value).value
        except SettingError as error:
            raise ArgumentError(str(error)) from None


class StoreChoice(Struct, frozen=True):
    """The feature store of a statement, read as bool or the path of a folder; '' is none."""

    words: str = "true, false or a folder"

    def read(self, name: str, value: object) -> object:
        """Return the choice, as the setting `store` reads it."""
        if not isinstance(value, bool | str):
            raise wrong(name, self.words, value)
        return SettingValue("store").read(name, value)
