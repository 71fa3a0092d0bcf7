"""The page: sections, figures and tables put in their places."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.formatting import joined, minus
from lmcompare.report.markdown import Table, code, escape, slug
from lmcompare.report.results import Results
from lmcompare.report.sections import ablations as variants
from lmcompare.report.sections import budget as parity
from lmcompare.report.sections import calibration as reliability
from lmcompare.report.sections import (
    disagreements,
    diversity,
    latency,
    overfitting,
    overview,
    samples,
)
from lmcompare.report.sections import headline as answer
from lmcompare.report.sections import hypothesis_cards as hypotheses
from lmcompare.report.sections import learning_curves as curves
from lmcompare.report.sections import loss_by_position as positions
from lmcompare.report.sections import matching as matchings
from lmcompare.report.sections import preregistration as choices
from lmcompare.report.sections import quality_per_flop as quality
from lmcompare.report.sections import right_context as sides
from lmcompare.report.sections import seed_variance as luck
from lmcompare.report.sections import setup as compared
from lmcompare.report.sections import task_figure as figures
from lmcompare.report.sections import task_tables as tables
from lmcompare.report.sections._former_section import Section
from lmcompare.report.sections.limitations import limits
from lmcompare.report.sections.scaling_laws import scale_figure, scale_tables, unlearnt

_MISSING_SHOWN = 8
_CARDS_OPEN = 3
"""Cards of more hypotheses are folded, so that the answer is not far below."""


@dataclass(frozen=True)
class Page:
    """All of one report.

    Attributes:
        rows: what it is made from.
        findings: one a task.
    """

    rows: Results
    findings: list[TaskAnalysis]

    @cached_property
    def cards(self) -> list[hypotheses.HypothesisCard]:
        """The hypotheses of the experiment, judged."""
        return hypotheses.cards(self.rows, self.findings)

    @cached_property
    def blocks(self) -> dict[str, list[Section]]:
        """The pieces that only some experiments have, by where they stand: across, learning, efficiency, 'task <name>'.

        A piece whose rows are not there is left out.
        """
        rows, found = self.rows, self.findings
        everything: dict[str, Iterable[Section | None]] = {
            "across": [
                *variants.labels(rows, found),
                *variants.masks(rows, found),
                *(one for one in self._diversity if one.folded != "all"),
            ],
            "learning": [overfitting.block(rows)],
            "efficiency": [
                quality.block(rows, found),
                *(latency.block(rows, one) for one in found),
            ],
        }
        for one in found:
            alone = [
                b
                for b in self._diversity
                if b.folded == "all" and b.name == f"diversity-{slug(one.task.name)}"
            ]
            everything[f"task {one.task.name}"] = [
                sides.block(rows, one),
                reliability.block(rows, one),
                positions.block(rows, one),
                *alone,
                disagreements.block(one),
                luck.block(one),
            ]
        return {
            place: [block for block in blocks if block is not None]
            for place, blocks in everything.items()
        }

    @cached_property
    def _diversity(self) -> list[Section]:
        return diversity.blocks(self.rows, self.findings)

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name, those that have anything to say."""
        rows, found = self.rows, self.findings
        everything: list[Table | None] = [
            overview.table(found, rows.models),
            hypotheses.table(self.cards),
            parity.gate(rows),
            curves.expected(rows),
            parity.budget(rows),
            matchings.table(rows),
            *scale_tables(rows),
            parity.adaptation(rows),
            parity.counts(rows),
            parity.environment(rows),
            parity.fingerprints(rows),
        ]
        for one in found:
            everything += [
                tables.results(one) if one.measured else None,
                tables.comparisons(one, one.comparisons, "differences"),
                tables.comparisons(one, one.gains, "gains", "network", "gain"),
                tables.comparisons(
                    one, one.gain_comparisons, "gain-differences", ahead="gained more by"
                ),
                tables.comparisons(one, one.control_comparisons, "controls"),
                tables.others(one),
                tables.generation(one),
                tables.parts(one),
                tables.trials(rows, one.task.name),
            ]
        everything += [block.table for blocks in self.blocks.values() for block in blocks]
        return {table.name: table for table in everything if table is not None}

    @cached_property
    def _figures(self) -> dict[str, bytes]:
        drawn: dict[str, bytes | None] = {
            f"figures/{slug(found.task.name)}.png": figures.task(found, self.rows.models)
            if found.measured
            else None
            for found in self.findings
        }
        drawn["figures/pretraining-loss.png"] = curves.learning(self.rows)
        drawn["figures/pretraining-below-unigram.png"] = curves.below_unigram(self.rows)
        drawn["figures/learning-rates.png"] = curves.sensitivity(self.rows)
        drawn["figures/scale.png"] = scale_figure(self.rows)
        drawn |= {block.path: block.figure for blocks in self.blocks.values() for block in blocks}
        return {name: content for name, content in drawn.items() if content is not None}

    def files(self) -> dict[str, bytes]:
        """Return the figures and the csv files by their path within the folder."""
        csv = {
            f"tables/{name}.csv": table.numbers.to_csv(index=False).encode()
            for name, table in self.tables.items()
        }
        points = curves.points(self.rows)
        if not points.empty:
            csv["tables/learning.csv"] = points.to_csv(index=False).encode()
        return {**self._figures, **csv}

    def markdown(self) -> str:
        """Return the report as GitHub markdown."""
        rows = self.rows
        environment = Environment(
            loader=PackageLoader("lmcompare.report", ""),
            undefined=StrictUndefined,
            autoescape=False,
        )
        agree, apart = parity.matched(rows)
        models = "models trained here" if rows.checkpoints else "models"
        words = f"The {models} agree within 5% in: {joined(agree)}. " if agree else ""
        words += f"They **differ** in: {joined(apart)}." if apart else ""
        names = sorted(name for name in self.files() if name.endswith(".csv"))
        shown = [code(name) for name in rows.missing_cells[:_MISSING_SHOWN]]
        more = len(rows.missing_cells) - len(shown)
        details = {
            "Data: documents, duplicates, tokens": "counts",
            "Fingerprints of the data": "fingerprints",
            "Machine and versions": "environment",
        }
        values: dict[str, Any] = {
            "title": f"{escape(rows.name)}: {_names(rows.models)} compared",
            "description": escape(rows.settings.get("description") or ""),
            "missing": rows.missing_cells,
            "missing_shown": ", ".join(shown) + (f" and {more} more" if more > 0 else ""),
            "cells_expected": len(rows.expected_cells),
            "objectives": [
                f"**{escape(model)}**: {compared.objective(rows, model)}" for model in rows.models
            ],
            "compared": compared.compared(rows),
            "overview": self._markdown("overview"),
            "overview_note": overview.note(self.findings, claims=bool(self.cards)),
            "summary": overview.summary(self.findings),
            "hypotheses": self._markdown("hypotheses"),
            "cards": [
                {
                    "name": escape(card.name),
                    "claim": escape(card.said["claim"]),
                    "lines": hypotheses.lines(card),
                }
                for card in self.cards
            ],
            "cards_open": _CARDS_OPEN,
            "generates": any(name.startswith("generation-") for name in self.tables),
            "answers": [
                answer.answer(one, samples.warned(rows, one.task.name)) for one in self.findings
            ],
            "tasks_asked": bool(rows.tasks),
            "gates": compared.gates(rows),
            "stamp": compared.stamp(rows),
            "seeds_warning": compared.seeds_warning(rows),
            "sections": [self._section(found) for found in self.findings],
            "longest": samples.LONGEST,
            "gate": self._markdown("gate"),
            "best": curves.best(rows),
            "expected": self._markdown("trials"),
            "learning": self._path("figures/pretraining-loss.png"),
            "below_unigram": self._path("figures/pretraining-below-unigram.png"),
            "learning_rates": self._path("figures/learning-rates.png"),
            "budget": self._markdown("budget"),
            "budget_words": parity.in_words(words.strip(), rows),
            "matching": self._markdown("matching"),
            "scale": {name: self._markdown(name) for name in ("scaling", "crossings", "variance")},
            "scale_figure": self._path("figures/scale.png"),
            "scale_unlearnt": unlearnt(rows),
            "fresh": bool(rows.fresh),
            "adaptation": self._markdown("adaptation"),
            "limits": limits(rows, self.findings, apart),
            "fixed": choices.fixed(rows, self.findings),
            "chosen": choices.chosen(rows),
            "explored": choices.explored(rows, self.findings, self.tables),
            "contested": choices.contested(rows, self.findings, apart),
            **{place: self._blocks(place) for place in ("across", "efficiency")},
            "learnt": self._blocks("learning"),
            "command": rows.command.replace("```", ""),
            "cells": len(rows.runs),
            "seconds": f"{sum(float(run.costs.get('seconds', 0)) for run in rows.runs):,.0f} s",
            "details": [
                {"title": title, "table": self.tables[name].markdown}
                for title, name in details.items()
                if name in self.tables
            ],
            "files": ", ".join(f"[{name.split('/')[1]}]({name})" for name in names) or "none yet",
        }
        return environment.get_template("report.md.jinja").render(values).rstrip() + "\n"

    def _markdown(self, name: str) -> str:
        return self.tables[name].markdown if name in self.tables else ""

    def _blocks(self, place: str) -> list[str]:
        return [block.markdown for block in self.blocks.get(place, [])]

    def _path(self, name: str) -> str:
        return name if name in self._figures else ""

    def _section(self, found: TaskAnalysis) -> dict[str, Any]:
        name = slug(found.task.name)
        trials = self.tables.get(f"trials-{name}")
        return {
            "title": escape(found.task.name),
            "description": escape(found.task.description[:1].upper() + found.task.description[1:]),
            "routes": self._routes(found),
            "smallest_effect": _smallest(found),
            "figure": self._path(f"figures/{name}.png"),
            "alt": f"{escape(found.metric.title)} of each model and control with 95% intervals, and paired differences",
            "results": self._markdown(f"results-{name}"),
            "results_note": _note(found),
            "differences": self._markdown(f"differences-{name}"),
            "reasons": [
                f"{code(lead.first)} over {code(lead.second)}: {lead.label}: {escape(minus(lead.reason))}."
                for lead in found.comparisons
            ],
            "gains": self._markdown(f"gains-{name}"),
            "gain_comparisons": self._markdown(f"gain-differences-{name}"),
            "controls": self._markdown(f"controls-{name}"),
            "others": self._markdown(f"metrics-{name}"),
            "generation": self._markdown(f"generation-{name}"),
            "parts": self._markdown(f"parts-{name}"),
            "parts_of": tables.kinds(found),
            "blocks": self._blocks(f"task {found.task.name}"),
            "samples": samples.sampled(self.rows, found.task.name),
            "trials": self._markdown(f"trials-{name}"),
            "trials_count": len(trials.rows) if trials else 0,
            "probes": trials is not None and "pooling" in trials.headings,
        }

    def _routes(self, found: TaskAnalysis) -> list[str]:
        """Say how each model is scored, where the notes do; models with the same procedure share a line."""
        said: dict[str, list[str]] = {}
        for model in self.rows.models:
            runs = self.rows.cells(found.task.name, model)
            procedures = [run.notes.procedure for run in runs if run.notes.procedure]
            if procedures:
                said.setdefault(procedures[0], []).append(code(model))
        return [f"{joined(models)}: {escape(route)}." for route, models in said.items()]


def _names(models: list[str]) -> str:
    return (
        joined([escape(model) for model in models]) if len(models) <= 5 else f"{len(models)} models"
    )


def _smallest(found: TaskAnalysis) -> str:
    size = choices.sized(found)
    return f" Smallest effect of interest, fixed beforehand: {size}." if size else ""


def _note(found: TaskAnalysis) -> str:
    note = (
        "Brackets: 95% intervals over seeds and items (items resampled; the seeds' part from a two-way analysis of "
        "variance, which makes the interval wide where there are few seeds); a control has no seeds, so items alone. "
        "*sd over seeds* and *se over items* show the two sources of error apart. In the tables below, *p* belongs to "
        "the interval (it is below 0.05 where the interval excludes 0); Holm's correction is over the rows of a table."
    )
    kinds = {one.exactness for one in found.measured.values()} - {""}
    if "chain" in kinds:
        note += (
            " *Exact* and *chain* are both normalised probabilities of the same text (the chain given its length) and "
            "may be compared; neither is a pseudo-likelihood."
        )
    if kinds & {"pseudo", "bound"}:
        note += " Pseudo-likelihoods and bounds are no probabilities: they have columns of their own and are not compared."
    return note
