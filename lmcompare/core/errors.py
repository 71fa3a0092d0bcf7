"""What goes wrong, said for people: the command prints the message alone, without a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral


class LmcompareError(Exception):
    """A failure in mid-run that a person can act on (exit code 1): a NaN loss, a full disk."""

    exit_code = 1


class InputError(LmcompareError):
    """A mistake in what the user gave: a config, a file, a missing package (exit code 2).

    Args:
        problems: one line for each mistake, each naming the path of the key, what was wanted and what was got.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(problems))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'rate'?"`` for the known name nearest to ``name``, or the list of known names.

    >>> nearest("rte", ["rate", "mean_span"])
    "; did you mean 'rate'?"
    >>> nearest("zzz", ["rate", "mean_span"])
    '; known: mean_span, rate'
    """
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


def not_whole(name: str, value: object, least: int) -> list[str]:
    """Return what is wrong with a number that must be whole and no less than ``least``: one line, or none.

    >>> not_whole("beams", 0, 1), not_whole("beams", 1.5, 1), not_whole("beams", 4, 1)
    (['beams: wanted at least 1, got 0'], ['beams: wanted an integer, at least 1, got 1.5'], [])
    """
    if not isinstance(value, Integral):
        return [f"{name}: wanted an integer, at least {least}, got {value!r}"]
    return [] if int(value) >= least else [f"{name}: wanted at least {least}, got {value}"]
