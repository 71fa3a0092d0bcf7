"""The pages: sections in their order, report.md and details.md, and one HTML file of both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lmcompare.report import rendering
from lmcompare.report.analysis import TaskAnalysis
from lmcompare.report.rendering import Form
from lmcompare.report.results import Results
from lmcompare.report.sections import (
    ablations,
    calibration,
    costs,
    disagreements,
    diversity,
    hypothesis_cards,
    latency,
    learning_curves,
    limitations,
    loss_by_position,
    matching,
    overfitting,
    overview,
    preregistration,
    quality_per_flop,
    right_context,
    samples,
    scaling_laws,
    seed_variance,
    setup,
    task_summary,
    task_tables,
)
from lmcompare.report.sections.base import Figure, Section
from lmcompare.report.tables import Table

Builder = Callable[[Results, Sequence[TaskAnalysis]], list[Section]]

ORDER: dict[str, list[Builder]] = {
    "Hypotheses": [overview.sections, hypothesis_cards.sections],
    "Tasks": [
        task_summary.sections,
        task_tables.sections,
        right_context.sections,
        calibration.sections,
        loss_by_position.sections,
        diversity.sections,
        disagreements.sections,
        seed_variance.sections,
        samples.sections,
    ],
    "Settings varied": [ablations.sections],
    "Training": [
        costs.convergence_sections,
        learning_curves.sections,
        overfitting.sections,
        scaling_laws.sections,
    ],
    "Cost": [costs.sections, matching.sections, quality_per_flop.sections, latency.sections],
    "Method": [preregistration.sections, setup.sections, limitations.sections],
    "Data and machine": [costs.environment_sections],
}
"""Headings of details.md, and what builds the sections below each; a task has its own heading."""

_MISSING_SHOWN = 8


@dataclass(frozen=True)
class Page:
    """All of one report."""

    results: Results
    analyses: Sequence[TaskAnalysis]

    @cached_property
    def groups(self) -> dict[str, list[Section]]:
        """The sections by heading."""
        return {
            heading: [part for build in builders for part in build(self.results, self.analyses)]
            for heading, builders in ORDER.items()
        }

    @cached_property
    def sections(self) -> list[Section]:
        """All sections."""
        return [section for group in self.groups.values() for section in group]

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by name."""
        return {table.name: table for section in self.sections for table in section.tables}

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {figure.name: figure for section in self.sections for figure in section.figures}

    def report(self, form: Form = "markdown") -> str:
        """Return the first page."""
        results, missing = self.results, self.results.missing_cells
        facts: dict[str, Any] = {
            "name": results.name,
            "models": results.models,
            "description": results.settings.get("description") or "",
            "missing": missing[:_MISSING_SHOWN],
            "missing_count": len(missing),
            "cells_expected": len(results.expected_cells),
            "sections": self._written(self.sections, form, first_page=True),
            "command": results.command.replace("```", ""),
            "cells": len(results.runs),
            "seconds": sum(float(run.costs.get("seconds", 0)) for run in results.runs),
            "tables": sorted(self.tables),
            "form": form,
        }
        return rendering.render("report", facts, form) + "\n"

    def details(self, form: Form = "markdown") -> str:
        """Return the second page."""
        groups: dict[str, list[str]] = {}
        for heading, sections in self.groups.items():
            for task in dict.fromkeys(section.task for section in sections):
                mine = [section for section in sections if section.task == task]
                written = self._written(mine, form, first_page=False)
                title = task or heading
                groups[title] = groups.get(title, []) + written
        facts = {"name": self.results.name, "groups": groups, "form": form}
        return rendering.render("details", facts, form) + "\n"

    def _written(self, sections: Sequence[Section], form: Form, *, first_page: bool) -> list[str]:
        chosen = [section for section in sections if section.first_page == first_page]
        return [text for section in chosen if (text := rendering.section(section, form))]

    def html(self) -> str:
        """Return both pages as one HTML file that holds its figures."""
        text = f"{self.report('html')}\n\n{self.details('html')}"
        return rendering.html(self.results.name, text)

    def files(self) -> dict[str, bytes]:
        """Return the pages, figures and csv files by their path within the folder."""
        figures = {figure.path: figure.png for figure in self.figures.values()}
        tables = {f"tables/{table.name}.csv": table.csv for table in self.tables.values()}
        pages = {"report.md": self.report().encode(), "details.md": self.details().encode()}
        return {**figures, **tables, **pages}
