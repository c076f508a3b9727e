"""Print the commands below a heading of README.md: python .ci/readme.py "First picture"."""

import re
import sys
from pathlib import Path

text = (Path(__file__).parents[1] / "README.md").read_text()
heading = re.escape(sys.argv[1])
found = re.search(rf"^## {heading}$.*?^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
if found is None or "\n## " in found[0]:
    sys.exit(f"README.md has no block of commands below {sys.argv[1]}")
print(found[1], end="")
