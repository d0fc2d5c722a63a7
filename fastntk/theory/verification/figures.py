"""Figures of the report: loss and bound, the smallest eigenvalue along the run, power laws, radii, concentration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastntk.plots.style import thin_frame, width_color
from fastntk.theory.verification.evidence import Evidence, Trajectory
from fastntk.theory.verification.exponents import SCALED, Exponent, final_values
from fastntk.theory.verification.trajectories import descent_bound, flow_bound

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figures"]


def figures(evidence: Evidence, fits: list[Exponent]) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """Caption and drawing function of every figure that the evidence has the numbers for."""
    seeds = len(evidence.seeds)
    spread = "Lines are medians" + (f", bands the range of {seeds} seeds." if seeds > 1 else ".")
    found: dict[str, tuple[str, Callable[[], Figure]]] = {
        "loss": (
            "Squared error of gradient descent at step size 1 / lambda_max, relative to its start, against the bound "
            f"of Theorem 4.1. {spread}",
            lambda: _loss(evidence),
        ),
        "flow": (
            "Squared error of gradient flow on the first layer, relative to its start, against the bound of Theorem "
            f"3.2. {spread}",
            lambda: _flow(evidence),
        ),
        "lambda_min": (
            "Smallest eigenvalue of H(k) along gradient descent at step size 1 / lambda_max, against that of the "
            f"limit. {spread}",
            lambda: _smallest(evidence),
        ),
    }
    if len(evidence.widths) > 1:
        found["scaling"] = (
            "Where these runs of gradient descent end, against the width: one dot for each seed, the fitted power law "
            "with the 95% interval of its exponent, and the slope -1/2 of the theory (dashed).",
            lambda: _scaling(evidence, fits),
        )
        found["start"] = (
            "Lemma 3.1: distance of H(0) from its limit, one dot for each seed, and lambda_0 / 4 (dashed).",
            lambda: _concentration(evidence),
        )
    if evidence.radii and len(evidence.widths) > 1:
        found["radii"] = (
            "Lemma 3.2: how far all weights may move before the kernel has changed by lambda_0 / 4, the travel bound "
            "R' of Lemma 3.3, and the radius R of the lemma. Lemma 3.4 needs R' below R.",
            lambda: _radii(evidence),
        )
    return found


def _loss(evidence: Evidence) -> Figure:
    figure, axes = _panel("gradient descent step $k$", r"$\Vert u(k)-y\Vert^2\,/\,\Vert u(0)-y\Vert^2$")
    axes.set_yscale("log")
    _bands(axes, evidence, evidence.main, lambda run: run.ratio)
    run = evidence.main[-1]
    bound = descent_bound(evidence.facts, run)
    axes.plot(
        run.steps, bound, color="black", linestyle="--", linewidth=1.0, label=r"$(1-\eta\lambda_0/2)^k$"
    )
    axes.legend(frameon=False, title="width $m$")
    return figure


def _flow(evidence: Evidence) -> Figure:
    figure, axes = _panel("time $t$", r"$\Vert u(t)-y\Vert^2\,/\,\Vert u(0)-y\Vert^2$")
    axes.set_yscale("log")
    _bands(axes, evidence, evidence.flow, lambda run: run.ratio)
    run = evidence.flow[-1]
    bound = flow_bound(evidence.facts, run)
    axes.plot(run.places, bound, color="black", linestyle="--", linewidth=1.0, label=r"$e^{-\lambda_0 t}$")
    axes.legend(frameon=False, title="width $m$")
    return figure


def _smallest(evidence: Evidence) -> Figure:
    figure, axes = _panel("gradient descent step $k$", r"$\lambda_{\min}(H(k))$")
    _bands(axes, evidence, evidence.main, lambda run: run.series["lambda_min"])
    lambda_0 = evidence.facts.lambda_0
    for height, text in ((1.0, r"$\lambda_0$"), (0.75, r"$3\lambda_0/4$"), (0.5, r"$\lambda_0/2$")):
        axes.axhline(height * lambda_0, color="black", linestyle="--", linewidth=0.8)
        axes.annotate(
            text, (1.0, height * lambda_0), xycoords=("axes fraction", "data"), xytext=(3, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    axes.legend(frameon=False, title="width $m$", loc="center", bbox_to_anchor=(0.5, 0.3), ncols=2)
    return figure


def _scaling(evidence: Evidence, fits: list[Exponent]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 2.8), layout="constrained")
    widths = np.array(evidence.widths, dtype=np.float64)
    for (name, label), axes in zip(SCALED.items(), figure.subplots(1, 3), strict=True):
        _frame(axes, "width $m$", label)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        table = final_values(evidence.main, name)
        axes.plot(widths, table, "o", markersize=3, color="0.35", markerfacecolor="none", markeredgewidth=0.7)
        for fit in fits:
            if fit.quantity == name:
                axes.plot(widths, fit.factor * widths**fit.slope, color="#31688e", linewidth=1.2)
                axes.set_title(_slope_text(fit), loc="left")
        start = float(np.nanmedian(table[0]))
        axes.plot(widths, start * (widths / widths[0]) ** -0.5, color="black", linestyle="--", linewidth=0.8)
    return figure


def _slope_text(fit: Exponent) -> str:
    if fit.lower is None:
        return f"slope {fit.slope:.3f}"
    return f"slope {fit.slope:.2f} [{fit.lower:.2f}, {fit.upper:.2f}]"


def _concentration(evidence: Evidence) -> Figure:
    figure, axes = _panel("width $m$", r"$\Vert H(0)-H^\infty\Vert_2$")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    widths, distances = zip(*((row["width"], row["distance"]) for row in evidence.starts), strict=True)
    axes.plot(
        widths, distances, "o", markersize=3, color="#31688e", markerfacecolor="none", markeredgewidth=0.7
    )
    if evidence.facts.positive:
        axes.axhline(evidence.facts.lambda_0 / 4.0, color="black", linestyle="--", linewidth=0.8)
    return figure


def _radii(evidence: Evidence) -> Figure:
    figure, axes = _panel("width $m$", "distance of every weight vector")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    facts, widths = evidence.facts, evidence.widths
    styles = {"random": ("#7ad151", "^"), "adversarial": ("#22a884", "s"), "certified": ("#31688e", "o")}
    for name, (color, marker) in styles.items():
        medians = [
            np.median([row[name] for row in evidence.radii if row["width"] == width]) for width in widths
        ]
        axes.plot(widths, medians, marker=marker, markersize=3.5, color=color, linewidth=1.2, label=name)
    travels = [
        np.median([facts.travel(w, run.error) for run in evidence.main if run.width == w]) for w in widths
    ]
    axes.plot(widths, travels, color="#440154", linewidth=1.2, linestyle="-.", label="$R'$")
    drifts = [
        np.median([run.series["drift"].max() for run in evidence.main if run.width == w]) for w in widths
    ]
    axes.plot(widths, drifts, color="#440154", linewidth=1.0, linestyle=":", label="measured drift")
    axes.axhline(facts.theory_radius, color="black", linestyle="--", linewidth=0.8, label="$R$ of the lemma")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _bands(
    axes: Axes, evidence: Evidence, trajectories: list[Trajectory], values: Callable[[Trajectory], Any]
) -> None:
    """One width a colour: the median of its seeds and their range, over the places that all of them logged."""
    for index, width in enumerate(evidence.widths):
        runs = [run for run in trajectories if run.width == width]
        logged = min(len(run.places) for run in runs)
        table = np.array([values(run)[:logged] for run in runs])
        places, color = runs[0].places[:logged], width_color(index, len(evidence.widths))
        axes.plot(places, np.median(table, axis=0), color=color, linewidth=1.2, label=str(width))
        axes.fill_between(places, table.min(axis=0), table.max(axis=0), color=color, alpha=0.22, linewidth=0)


def _panel(x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.subplots()
    _frame(axes, x, y)
    return figure, axes


def _frame(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    thin_frame(axes)
