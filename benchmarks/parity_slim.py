"""Make the JSON outcome of ``nbdask parity`` small enough to keep: no output of C, no paths.

python -m benchmarks.parity_slim OUTCOME.json benchmarks/results/NAME.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

DROPPED = ("stdout", "stderr", "arguments")


def main() -> None:
    """Read, drop, write."""
    parser = argparse.ArgumentParser(description="Make an outcome of nbdask parity small.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    outcome = json.loads(options.source.read_text())
    for region in outcome["regions"]:
        for key in DROPPED:
            region.pop(key, None)
    outcome["program"].pop("path")
    outcome["image"] = Path(outcome["image"]).name
    outcome["reference"] = "nanoBragg C"
    outcome["program"]["name"] = "nanoBragg"
    for item in outcome.get("inputs", []):
        item["path"] = Path(item["path"]).name
    rows = ",\n  ".join(json.dumps(region) for region in outcome.pop("regions"))
    head = json.dumps(outcome, indent=1)[:-2]
    options.target.write_text(f'{head},\n "regions": [\n  {rows}\n ]\n}}\n')


if __name__ == "__main__":
    main()
