#!/usr/bin/env python3
"""Draws traces that `tessera render --trace` or `tessera bench scaling --trace` wrote: JSON files in, one SVG out.

    draw_trace.py OUT.svg "first title=first.json" "second title=second.json"

One band per trace, on one scale of time; in it one row per device, one box per task, coloured by its model call. What
is white is time in which a device had nothing to do. Beside each title stands the share of time that devices were busy
in the hires pass. Needs nothing but Python.
"""

import json
import sys
from html import escape
from pathlib import Path

WIDTH, LEFT, ROW, GAP, HEAD = 1000, 120, 14, 4, 30
# Neighbouring model calls must look different, and colour-blind people see lightness.
COLOURS = ["#1b6ca8", "#8cc6ec", "#e07b39", "#f6cf9d", "#3c8d5a", "#a9dbb8"]


def fail(text):
    """Ends with a sentence."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(2)


def tasks(path):
    """The hires pass of a trace: devices' names by row, and its slices, begun at 0."""
    try:
        events = json.loads(Path(path).read_text())["traceEvents"]
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        fail(f"{path} is no trace: tessera render --trace and tessera bench scaling --trace write them")
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name" and e["pid"] == 1}
    slices = [e for e in events if e["ph"] == "X" and e["pid"] == 1 and e["cat"] == "hires"]
    if not slices:
        fail(f"{path}: no task of a hires pass is in this trace")
    start = min(e["ts"] for e in slices)
    return names, [(e["tid"], e["ts"] - start, e["dur"], e["args"]["step"] or 0, e["name"]) for e in slices]


def band(title, path, top, scale):
    """One trace as SVG elements, and the y below it."""
    names, slices = tasks(path)
    rows = sorted({row for row, *_ in slices})
    end = max(begin + dur for _, begin, dur, *_ in slices)
    busy = sum(dur for _, _, dur, *_ in slices) / (end * len(rows))
    head = f"{title}: {end / 1e6:.1f} s, devices busy {busy:.0%}"
    out = [f'<text x="{LEFT}" y="{top + 18}" font-size="15" font-weight="bold">{escape(head)}</text>']
    y = {row: top + HEAD + index * (ROW + GAP) for index, row in enumerate(rows)}
    for row in rows:
        name = names.get(row, str(row)).split()[0].split("#")[0]
        out.append(f'<text x="{LEFT - 8}" y="{y[row] + 11}" font-size="11" text-anchor="end">{escape(name)}</text>')
    for row, begin, dur, step, name in slices:
        colour = COLOURS[step % len(COLOURS)]
        x, width = LEFT + begin * scale, max(dur * scale - 0.4, 0.2)
        out.append(
            f'<rect x="{x:.1f}" y="{y[row]}" width="{width:.1f}" height="{ROW}" fill="{colour}">'
            f"<title>{escape(name)}</title></rect>"
        )
    return out, top + HEAD + len(rows) * (ROW + GAP) + 12


def main():
    if len(sys.argv) < 3 or not all("=" in word for word in sys.argv[2:]):
        fail(f"give OUT.svg, then a title and a file for each trace\n{__doc__}")
    traces = [word.rsplit("=", 1) for word in sys.argv[2:]]
    longest = max(begin + dur for _, path in traces for _, begin, dur, *_ in tasks(path)[1])
    scale = (WIDTH - LEFT - 10) / longest
    parts, top = [], 4
    for title, path in traces:
        drawn, top = band(title, path, top, scale)
        parts += drawn
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" font-family="sans-serif">'
    try:
        Path(sys.argv[1]).write_text("\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>"]) + "\n")
    except OSError as error:
        fail(f"{sys.argv[1]} cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()
