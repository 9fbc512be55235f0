"""A function → the same, whose value is made once in a process, whichever threads ask first.

`functools.cache` calls a function twice if two threads ask before it has answered. What is no worse
for that may use it; what holds a lock, a budget or an open file must not be there twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")


def once(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Keep what a function returns for its arguments, which are hashable and given by position.

    An error is not kept: the next one who asks tries again.

    Example:
        >>> one = once(lambda name: [name])
        >>> one("a") is one("a"), one("a") is one("b")
        (True, False)
    """
    made: dict[object, Made] = {}
    making: dict[int, threading.Lock] = {}  # by process: a fork may copy one that is held

    @wraps(make)
    def kept(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        if args not in made:
            with making.setdefault(os.getpid(), threading.Lock()):
                if args not in made:
                    made[args] = make(*args, **kwargs)
        return made[args]

    return kept
