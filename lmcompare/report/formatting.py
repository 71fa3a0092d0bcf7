"""How numbers and names are written for people."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NONE = "–"
"""What stands where there is no value."""

_PREFIXES = dict(zip(range(-3, 8), ("n", "µ", "m", "", *"kMGTPEZ"), strict=True))


@dataclass(frozen=True)
class MetricFormat:
    """How the values of one metric are shown."""

    title: str
    unit: str = ""
    """'%' is set close to a value, and its differences are in points"""
    scale: float = 1.0
    """what a value is multiplied by before it is shown"""
    better: str = ""
    """'higher', 'lower', or '' where neither is good in itself"""
    decimals: int = 3
    """digits after the point without an interval; with one, the least, up to 2"""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """the least and the greatest possible value, before scaling; intervals are cut there"""

    @property
    def measure(self) -> str:
        """Title and unit, for an axis: 'accuracy, %'."""
        unit = f", {self.unit}" if self.unit and self.unit not in self.title else ""
        return f"{self.title}{unit}"

    @property
    def heading(self) -> str:
        """Title, unit and direction, for the head of a column: 'accuracy, % ↑'."""
        return self.measure + {"higher": " ↑", "lower": " ↓"}.get(self.better, "")

    @property
    def largest_difference(self) -> float:
        """The greatest difference that two values can have, before scaling."""
        return self.limits[1] - self.limits[0]

    @property
    def points(self) -> str:
        """The unit of a difference."""
        return "points" if self.unit == "%" else self.unit


def _share(title: str, better: str = "higher") -> MetricFormat:
    return MetricFormat(title, "%", 100, better, 1, limits=(0, 1))


METRICS = {
    "accuracy": _share("accuracy"),
    "f1": _share("F1"),
    "precision": _share("precision"),
    "recall": _share("recall"),
    "f1_macro": _share("macro F1"),
    "f1_micro": _share("micro F1"),
    "matthews": MetricFormat("MCC", better="higher", limits=(-1, 1)),
    "ece": _share("ECE", "lower"),
    "brier": MetricFormat("Brier", better="lower"),
    "nll": MetricFormat("NLL", "nats per item", better="lower"),
    "accuracy_macro": _share("accuracy, mean over paradigms"),
    "accuracy_by_likelihood": _share("accuracy by likelihood"),
    "accuracy_equal_length": _share("accuracy on pairs of equal length"),
    "choice_accuracy": _share("accuracy of choice"),
    "token_accuracy": _share("right tokens of the best fill"),
    "spearman": MetricFormat("Spearman's correlation", better="higher", limits=(-1, 1)),
    "pearson": MetricFormat("Pearson's correlation", better="higher", limits=(-1, 1)),
    "rougeL": _share("ROUGE-L"),
    "rouge1": _share("ROUGE-1"),
    "rouge2": _share("ROUGE-2"),
    "exact_match": _share("exact match"),
    "exact_match_tuned": _share("exact match, tuned tasks"),
    "chrf_tuned": MetricFormat("chrF, tuned tasks", "", 1, "higher", 1, limits=(0, 100)),
    "squad_f1": _share("word F1"),
    "chrf": MetricFormat("chrF", "", 1, "higher", 1, limits=(0, 100)),
    "corpus_chrf": MetricFormat("chrF of the whole", "", 1, "higher", 1, limits=(0, 100)),
    "bleu": MetricFormat("BLEU", "", 1, "higher", 1, limits=(0, 100)),
    "ter": MetricFormat("TER", "", 1, "lower", 1),
    "wer": MetricFormat("word error rate", "%", 100, "lower", 1),
    "wer_by_likelihood": MetricFormat("word error rate by likelihood", "%", 100, "lower", 1),
    "bits_per_byte_left": MetricFormat("bits per byte, given the left side alone", better="lower"),
    "bits_per_byte": MetricFormat("bits per byte", "bits per byte", better="lower"),
    "margin": MetricFormat("margin below the unigram", "nats per target", better="higher"),
    "validation_rise": MetricFormat(
        "rise of the validation loss from its lowest", "nats per target", better="lower"
    ),
    "distinct_1": MetricFormat("distinct-1"),
    "distinct_2": MetricFormat("distinct-2"),
    "distinct_3": MetricFormat("distinct-3"),
    "repetition_4": _share("repeated 4-grams", ""),
    "self_bleu": MetricFormat("self-BLEU"),
    "judge_bits_per_byte": MetricFormat("judge, bits per byte", "bits per byte"),
    "calls_per_token": MetricFormat("network calls per token", "", 1, "", 2),
    "calls_per_answer": MetricFormat("network calls for the longest answer", "", 1, "", 1),
    "seconds_per_generation": MetricFormat("seconds per generation", "s", 1, "", 3),
}
"""The metrics that have a name of their own; others are shown by their key."""


def metric_format(metric: str, better: str = "") -> MetricFormat:
    """Return how ``metric`` is shown; ``better`` is the direction of one not known here."""
    return METRICS.get(metric, MetricFormat(metric.replace("_", " "), better=better))


def engineering(value: float, unit: str = "", digits: int = 3) -> str:
    """Write ``value`` with ``digits`` significant digits and an SI prefix.

    >>> engineering(1_234_567), engineering(999_999, "tokens"), engineering(3.2e12, "FLOPs")
    ('1.23 M', '1.00 M tokens', '3.20 TFLOPs')
    """
    if not math.isfinite(value):
        return NONE
    group = 0
    if value and (abs(value) >= 1000 or abs(value) < 1):
        # Rounding first, so that 999 999 becomes 1.00 M and not 1000 k.
        rounded = float(f"{value:.{digits - 1}e}")
        group = min(max(math.floor(math.log10(abs(rounded)) / 3), -3), 7)
    mantissa = value / 1000.0**group
    if group == 0 and float(value).is_integer():
        text = f"{value:.0f}"
    else:
        places = max(0, digits - 1 - math.floor(math.log10(abs(mantissa)))) if mantissa else 0
        text = f"{mantissa:.{places}f}"
        if len(text.replace(".", "").lstrip("-0")) > digits and places:
            text = f"{mantissa:.{places - 1}f}"
    # A counted thing keeps its prefix apart ('1.23 M tokens'); a unit of measurement takes it
    # ('3.20 TFLOPs').
    separator = "" if unit in {"FLOPs", "B", "s"} else " "
    return " ".join(f"{text} {_PREFIXES[group]}{separator}{unit}".split())


def plain(value: float, decimals: int) -> str:
    """Write ``value`` with a true minus sign, never '−0'; NaN is a dash.

    >>> plain(-0.126, 2), plain(-0.001, 1), plain(float("nan"), 1)
    ('−0.13', '0.0', '–')
    """
    if not math.isfinite(value):
        return NONE
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and not float(text) else text.replace("-", "−")


def signed(value: float, decimals: int) -> str:
    """Write a difference with its sign: '+0.13', '−0.13', '0.00'."""
    text = plain(value, decimals)
    return (
        text if not math.isfinite(value) or text.startswith("−") or not float(text) else f"+{text}"
    )


def fitting_decimals(widths: Iterable[float], otherwise: int) -> int:
    """Return the decimals that give the median half-width of intervals two significant digits.

    Never fewer than ``otherwise`` or 2, whichever is less: a wide interval leaves the value
    readable.

    >>> fitting_decimals([1.4, 2.3], 1), fitting_decimals([0.031], 3), fitting_decimals([], 2)
    (1, 3, 2)
    """
    known = sorted(width for width in widths if math.isfinite(width) and width > 0)
    if not known:
        return otherwise
    return min(max(1 - math.floor(math.log10(known[len(known) // 2])), min(otherwise, 2)), 6)


def interval(value: float, low: float, high: float, decimals: int, *, sign: bool = False) -> str:
    """Write '71.2 [69.8, 72.6]'; without an interval the value alone."""
    write = signed if sign else plain
    if not (math.isfinite(low) and math.isfinite(high)):
        return write(value, decimals)
    return f"{write(value, decimals)} [{plain(low, decimals)}, {plain(high, decimals)}]"


def probability(p: float) -> str:
    """Write a p-value: '< 0.001', '0.032', '0.41'.

    >>> probability(0.0002), probability(0.0321), probability(0.41), probability(1.0)
    ('< 0.001', '0.032', '0.41', '1.00')
    """
    if not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def joined(words: Sequence[str], last: str = "and") -> str:
    """Write 'a', 'a and b', 'a, b and c'."""
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)


def counted(number: int, noun: str) -> str:
    """Write '1 seed', '2 seeds', '1,066 items'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(text: str, longest: int, *, keep: str = "start") -> str:
    """Cut ``text`` to ``longest`` characters at a space, keeping its 'start' or its 'end'."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    if keep == "end":
        return "… " + text[-longest:].split(" ", 1)[-1]
    return text[:longest].rsplit(" ", 1)[0] + " …"


def control_title(control: str) -> str:
    """Return a control's name as it is written in text.

    >>> control_title("tf-idf + logistic regression"), control_title("majority")
    ('TF-IDF + logistic regression', 'majority class')
    """
    names = {
        "majority": "majority class",
        "unigram": "unigram model",
        "trigram": "trigram model",
        "chance": "chance level",
        "1-best": "recognizer's first guess",
        "random": "random guess",
        "oracle": "oracle, the best guess of each list",
    }
    return names.get(control, control.replace("tf-idf", "TF-IDF"))


CEILINGS = ("oracle",)
"""Controls that see the reference: an upper bound, which no model can exceed."""
