"""Draws the ratios, as PNG and SVG: an overview of all works beside ours, and a picture of bars for each group."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from benchmarks.contestants import CONTESTANTS
from benchmarks.report import PEERS, Run, headlines, nearest, places, us
from benchmarks.verdicts import figure_of, ratios, spread
from benchmarks.works import FIGURES, Group, Work

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

__all__ = ["draw"]

_OURS, _FLOOR, _OTHERS, _INK = "#0b7285", "#868e96", "#ced4da", "#212529"
_MARKS = {
    "node": ("o", "#2b8a3e"),
    "bun": ("o", "#e8590c"),
    "python-socketio": ("s", "#1864ab"),
    "flask-socketio": ("s", "#c2255c"),
    "nchan": ("^", "#5f3dc4"),
    "websockets": ("^", "#f08c00"),
}

#: A panel: a work, one of its figures, and whom the bars are compared with.
Panel = tuple[Work, str, str]


def draw(run: Run, folder: Path) -> list[str]:
    """Draws what can be drawn; returns the paths, relative to ``folder``."""
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "truesocket"  # the same figures give the same file
    written = _overview(run, folder)
    for group in Group:
        panels = [
            (work, figure, _base(work, figure))
            for work in run.works
            if work.group is group
            for figure in work.figures
            if len(_bars(run, work, figure, _base(work, figure))) > 1
        ]
        if panels:
            written += _group(run, folder, group, panels)
    return written


def _base(work: Work, figure: str) -> str:
    """The floor where it has such a figure, and ours else."""
    return "floor" if "floor" in work.contestants and FIGURES[figure].has_floor else us(work)


def _save(page: Page, folder: Path, name: str) -> list[str]:
    paths = [f"plots/{name}.{kind}" for kind in ("png", "svg")]
    for path in paths:
        page.savefig(folder / path, dpi=110, metadata={"Date": None} if path.endswith("svg") else None)
    plt.close(page)
    return paths


def _logarithmic(place: Axes) -> None:
    place.set_xscale("log")
    place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    place.xaxis.set_minor_formatter(NullFormatter())
    place.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    place.axvline(1, color=_INK, linewidth=0.8)
    place.tick_params(labelsize=8)
    place.spines[["top", "right"]].set_visible(False)


# --- the overview: a line for each work, a mark for each peer ---------------------------------------------------------


def _overview(run: Run, folder: Path) -> list[str]:
    rows = [(work, figure) for work in run.works for figure in headlines(work) if _marks(run, work, figure)]
    if not rows:
        return []
    page, place = plt.subplots(figsize=(11, 1.6 + 0.27 * len(rows)), layout="constrained")
    _logarithmic(place)
    named = set()
    for row, (work, figure) in enumerate(rows):
        place.axhline(row, color="#f1f3f5", linewidth=6, zorder=0)
        for who, ratio in _marks(run, work, figure).items():
            mark, colour = _MARKS.get(who, ("D", _FLOOR))
            label = {"floor": "the floor (C)", **PEERS}[who]
            place.plot(
                ratio, row, mark, color=colour, markersize=6, linestyle="", label=None if who in named else label
            )
            named.add(who)
    place.set_yticks(range(len(rows)), [f"{work.name}: {FIGURES[figure].title}" for work, figure in rows])
    place.set_ylim(len(rows) - 0.4, -0.6)
    place.margins(x=0.05)
    place.set_title(
        "What the floor and the peers need, in times of what truesocket needs\n"
        "right of the line: they need more; left of it: they are ahead",
        fontsize=10,
        loc="left",
    )
    page.legend(loc="outside lower center", ncols=len(named), fontsize=8, frameon=False)
    return _save(page, folder, "overview")


def _marks(run: Run, work: Work, figure: str) -> dict[str, float]:
    """Who, and how many times ours it needs."""
    found = {}
    for who in ("floor", *PEERS):
        if who != "floor" or FIGURES[figure].has_floor:
            ratio = nearest(run, work, figure, who)
            if ratio and ratio.median > 0:
                found[who] = ratio.median
    return found


# --- a group: a panel of bars for each figure of its works ------------------------------------------------------------


def _bars(run: Run, work: Work, figure: str, to: str) -> list[tuple[str, float, float, float]]:
    """Who, the median of the ratios, the least and the most; the best first."""
    found = []
    for name in work.contestants:
        if name == "floor" and not FIGURES[figure].has_floor:
            continue
        ratio = spread(ratios(run.samples, work.name, figure, name, to))
        if ratio and ratio.least > 0:
            found.append((name, ratio.median, ratio.least, ratio.most))
    return sorted(found, key=lambda bar: bar[1])


def _group(run: Run, folder: Path, group: Group, panels: list[Panel]) -> list[str]:
    columns = 2 if len(panels) > 1 else 1
    lines = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    heights = [max(len(_bars(run, *panel)) for panel in line) * 0.24 + 0.85 for line in lines]
    page, axes = plt.subplots(
        len(lines),
        columns,
        figsize=(8 * columns, sum(heights)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )
    for place, panel in zip(axes.flat, panels, strict=False):
        _panel(run, place, panel)
    for place in axes.flat[len(panels) :]:
        place.set_axis_off()
    return _save(page, folder, group.name.lower().replace("_", "-"))


def _panel(run: Run, place: Axes, panel: Panel) -> None:
    work, figure, to = panel
    bars = _bars(run, *panel)
    names = [CONTESTANTS[name].title for name, *_ in bars]
    colours = [_OURS if name.startswith("truesocket") else _FLOOR if name == "floor" else _OTHERS for name, *_ in bars]
    whiskers = [[bar[1] - bar[2] for bar in bars], [bar[3] - bar[1] for bar in bars]]
    if not any(map(any, whiskers)):
        whiskers = []  # a single round has no spread
    _logarithmic(place)
    # bars begin at 1, where the logarithmic axis has its middle: to the right is more, to the left less
    middles = [bar[1] for bar in bars]
    place.barh(names, [middle - 1 for middle in middles], left=1, color=colours)
    place.errorbar(middles, names, xerr=whiskers or None, fmt="none", ecolor="#fa5252", elinewidth=1)
    place.scatter(middles, names, color=colours, s=16, zorder=3)
    place.invert_yaxis()
    for row, (name, ratio, _, most) in enumerate(bars):
        value = spread(list(figure_of(run.samples, work.name, name, figure).values()))
        assert value is not None  # it has a ratio
        number = f"{value.median:,.{places(value.median, 3)}f}"
        text = f"  {ratio:,.{places(ratio, 2)}f} x  ({number} {FIGURES[figure].unit})"
        place.annotate(text, (max(most, 1), row), va="center", fontsize=8, color=_INK)
    least, most = min(1, *(bar[2] for bar in bars)), max(2, *(bar[3] for bar in bars))
    room = (most / least) ** 0.05
    place.set_xlim(least / room, most * room**8)
    than = "the floor" if to == "floor" else CONTESTANTS[to].title
    place.set_title(f"{work.title}\n{FIGURES[figure].title}, in times of {than}", fontsize=9, loc="left")
