"""Paired differences: what a method solves more than a baseline on the same noise."""

import html

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rtc.report.figures.style import (
    empty_figure,
    house_style,
    method_legend,
    method_styles,
    plot_line,
    readable,
    step_axis,
)
from rtc.report.summary import format_p

HEADS = {
    "baseline": "baseline",
    "method": "method",
    "delay": "delay d",
    "pairs": "pairs",
    "gained": "only the method",
    "lost": "only the baseline",
    "difference": "difference (points)",
    "interval": "95 % bootstrap interval",
    "p": "exact McNemar p",
}


def paired_differences(paired: pd.DataFrame) -> Figure:
    """Returns a panel for each baseline: difference of solve rates against the delay.

    paired: from `rtc.report.stats.paired_table`. Shades are its 95 % bootstrap intervals.
    """
    rows = paired[paired["delay"].notna()].astype({"delay": int})
    if rows.empty:
        return empty_figure("no two methods were evaluated along s = max(d, 1)")
    baselines = list(dict.fromkeys(rows["baseline"]))
    styles = method_styles({*rows["method"], *baselines})
    with house_style():
        figure = Figure(figsize=(max(4.6, 3.9 * len(baselines)), 3.8))
        panels = figure.subplots(1, len(baselines), sharey=True, squeeze=False)[0]
        for axes, baseline in zip(panels, baselines):
            own = rows[rows["baseline"] == baseline]
            axes.axhline(0, color=styles[baseline].color, linewidth=1)
            for method, style in styles.items():
                line = own[own["method"] == method].sort_values("delay")
                if len(line):
                    plot_line(
                        axes, line["delay"], 100 * line["difference"], style,
                        100 * line["low"], 100 * line["high"],
                    )  # fmt: skip
            axes.set_title(f"against {readable(baseline)}")
            axes.yaxis.set_major_locator(MaxNLocator(7))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f}" if value else "0")
            step_axis(axes, rows["delay"], "inference delay d (steps)")
        panels[0].set_ylabel("difference of solve rates\n(percentage points)")
        method_legend(figure, styles)
    return figure


def readable_table(paired: pd.DataFrame) -> pd.DataFrame:
    """Returns the table with numbers written for people; texts only."""
    rows = [
        {
            "baseline": readable(row.baseline),
            "method": readable(row.method),
            "delay": "2 and more" if pd.isna(row.delay) else str(row.delay),
            "pairs": f"{row.pairs:,}",
            "gained": f"{row.gained:,}",
            "lost": f"{row.lost:,}",
            "difference": f"{100 * row.difference:+.1f}",
            "interval": f"{100 * row.low:+.1f} to {100 * row.high:+.1f}",
            "p": format_p(row.p).removeprefix("p ").removeprefix("= "),
        }
        for row in paired.itertuples()
    ]
    return pd.DataFrame(rows, columns=list(HEADS)).rename(columns=HEADS)


def paired_html(paired: pd.DataFrame) -> str:
    """Returns the table as one HTML page that needs nothing else; all names are escaped."""
    table = readable_table(paired)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    lines = []
    for before, row in zip([None, *table["baseline"]], table.itertuples(index=False)):
        begins = ' class="begins"' if before is not None and before != row[0] else ""
        cells = "".join(f"<td>{html.escape(str(value))}</td>" for value in row)
        lines.append(f"<tr{begins}>{cells}</tr>")
    return PAGE.format(head=head, body="\n".join(lines))


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Paired differences</title>
<style>
body {{ font: 14px/1.45 system-ui, sans-serif; color: #222; margin: 1.5em; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.3em 0.8em; text-align: right; border-bottom: 1px solid #e6e6e6; }}
th {{ border-bottom: 2px solid #888; font-weight: 600; }}
th:nth-child(-n+2), td:nth-child(-n+2) {{ text-align: left; }}
tr.begins td {{ border-top: 2px solid #888; }}
tr:hover td {{ background: #f4f8fb; }}
</style>
</head>
<body>
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</body>
</html>
"""
