"""Draws the ratios: one picture to the floor, one to us, each as PNG and SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from benchmarks.contestants import CONTESTANTS
from benchmarks.report import Run, us
from benchmarks.verdicts import ratios, spread
from benchmarks.works import FIGURES, Work

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

__all__ = ["draw"]

_OURS, _FLOOR, _OTHERS = "#0b7285", "#868e96", "#ced4da"


def draw(run: Run, folder: Path) -> list[str]:
    """Draws what can be drawn; returns the paths, relative to ``folder``."""
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "truesocket"  # the same figures give the same file
    written = []
    for name, title in (("floor", "times the floor"), ("us", "times truesocket")):
        panels = [(work, figure) for work in run.works for figure in work.figures if _bars(run, work, figure, name)]
        if panels:
            written += _picture(run, folder, name, title, panels)
    return written


def _base(work: Work, to: str) -> str:
    return us(work) if to == "us" else "floor"


def _bars(run: Run, work: Work, figure: str, to: str) -> list[tuple[str, float, float, float]]:
    """Who, the median of the ratios, the least and the most; the best first."""
    found: list[tuple[str, float, float, float]] = []
    if to == "floor" and not FIGURES[figure].has_floor:
        return found
    for name in work.contestants:
        ratio = spread(ratios(run.samples, work.name, figure, name, _base(work, to)))
        if ratio:
            found.append((name, ratio.median, ratio.least, ratio.most))
    return sorted(found, key=lambda bar: bar[1]) if len(found) > 1 else []


def _picture(run: Run, folder: Path, to: str, title: str, panels: list[tuple[Work, str]]) -> list[str]:
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(8 * columns, 3.1 * rows), squeeze=False, layout="constrained")
    for place, (work, name) in zip(axes.flat, panels, strict=False):
        _panel(place, work, name, _bars(run, work, name, to), title)
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    written = []
    for kind in ("png", "svg"):
        path = f"plots/ratio-to-{to}.{kind}"
        figure.savefig(folder / path, dpi=110, metadata={"Date": None} if kind == "svg" else None)
        written.append(path)
    plt.close(figure)
    return written


def _panel(place: Axes, work: Work, figure: str, bars: list[tuple[str, float, float, float]], title: str) -> None:
    names = [CONTESTANTS[name].title for name, *_ in bars]
    colours = [_OURS if name.startswith("truesocket") else _FLOOR if name == "floor" else _OTHERS for name, *_ in bars]
    middles = [bar[1] for bar in bars]
    whiskers = [[bar[1] - bar[2] for bar in bars], [bar[3] - bar[1] for bar in bars]]
    place.barh(names, middles, color=colours, xerr=whiskers, error_kw={"elinewidth": 1, "ecolor": "#fa5252"})
    place.set_xscale("log")
    place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    place.xaxis.set_minor_formatter(NullFormatter())
    place.axvline(1, color="#212529", linewidth=0.8)
    place.invert_yaxis()
    for row, bar in enumerate(bars):
        place.annotate(f" {bar[1]:.3g}", (bar[3], row), va="center", fontsize=8)
    place.margins(x=0.12)
    place.set_title(f"{work.title}\n{FIGURES[figure].title}, {title}", fontsize=9, loc="left")
    place.tick_params(labelsize=8)
    place.spines[["top", "right"]].set_visible(False)
