"""User-facing errors: the command prints the message alone, without a traceback."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from numbers import Integral


class LmcompareError(Exception):
    """A failure in mid-run that a person can act on (exit code 1): a NaN loss, a full disk."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One mistake in what the user gave.

    >>> str(Problem("seeds", "a list of integers", "true"))
    'seeds: wanted a list of integers, got true'
    >>> str(Problem("name", "a name")), str(Problem("nam", message="no such key"))
    ('name: missing; wanted a name', 'nam: no such key')
    """

    path: str
    """the key, dotted: `training.tokens`; or a file or an option of the command"""
    wanted: str = ""
    """what would be right"""
    got: str = ""
    """what is there; empty: nothing"""
    message: str = ""
    """instead of ``wanted`` and ``got``: what is wrong"""

    def __str__(self) -> str:
        if self.message:
            return f"{self.path}: {self.message}" if self.path else self.message
        if not self.got:
            return f"{self.path}: missing; wanted {self.wanted}"
        return f"{self.path}: wanted {self.wanted}, got {self.got}"

    @classmethod
    def of(cls, line: str) -> "Problem":
        """Return the problem that a line such as ``seeds: wanted ...`` states."""
        path, sign, message = line.partition(": ")
        return cls(path, message=message) if sign else cls("", message=line)

    def below(self, path: str) -> "Problem":
        """Return the same problem of a key that lies below ``path``."""
        return replace(self, path=f"{path}.{self.path}" if self.path else path)


class InputError(LmcompareError):
    """A mistake in what the user gave: a config, a file, a missing package (exit code 2).

    Args:
        problems: one for each mistake: the path of the key, what was wanted and what was got.
    """

    exit_code = 2

    def __init__(self, *problems: str | Problem) -> None:
        self.problems = [str(problem) for problem in problems]
        super().__init__("\n".join(self.problems))

    @property
    def details(self) -> list[Problem]:
        """The problems with their paths apart."""
        return [Problem.of(problem) for problem in self.problems]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'rate'?"`` for the nearest known name, or the known names.

    >>> nearest("rte", ["rate", "mean_span"])
    "; did you mean 'rate'?"
    >>> nearest("zzz", ["rate", "mean_span"])
    '; known: mean_span, rate'
    """
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def not_whole(name: str, value: object, least: int) -> list[str]:
    """Return what is wrong with a number that must be whole and at least ``least``: a line or none.

    >>> not_whole("beams", 0, 1), not_whole("beams", 1.5, 1), not_whole("beams", 4, 1)
    (['beams: wanted at least 1, got 0'], ['beams: wanted an integer, at least 1, got 1.5'], [])
    """
    if not isinstance(value, Integral):
        return [f"{name}: wanted an integer, at least {least}, got {value!r}"]
    return [] if int(value) >= least else [f"{name}: wanted at least {least}, got {value}"]
