"""Checks the Grafana board: ids are its own, panels lie beside each other, every question names a metric of ours and
keeps to the coordinators that were chosen.

    python3 board.py tessera.json
"""

import json
import re
import sys

CHOSEN = 'job=~"$job", instance=~"$instance"'


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        board = json.load(file)
    panels = board["panels"]
    ids = [panel["id"] for panel in panels]
    if len(ids) != len(set(ids)):
        sys.exit("two panels have the same id")
    taken = {}
    for panel in panels:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if 24 <= x or (x, y) in taken:
                    sys.exit(f"panel '{panel['title']}' lies on '{taken.get((x, y), 'the edge')}'")
                taken[x, y] = panel["title"]
        if panel["type"] == "row":
            continue
        if not panel["description"] or not panel["targets"]:
            sys.exit(f"panel '{panel['title']}' says or asks nothing")
        for target in panel["targets"]:
            asked = target["expr"]
            if asked.count("(") != asked.count(")") or asked.count("{") != asked.count("}"):
                sys.exit(f"panel '{panel['title']}' has unbalanced brackets: {asked}")
            named = re.findall(r"\btessera_[a-z_]+(\{[^}]*\})?", asked)
            if not named or any(CHOSEN not in labels for labels in named):
                sys.exit(f"panel '{panel['title']}' does not keep to the coordinators chosen: {asked}")


if __name__ == "__main__":
    main(*sys.argv[1:])
