"""Builds the genome's model and says how many parameters it has; run beside a genome, in a box."""

import json
import os
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))
conditions = json.loads(os.environ["EVORESEARCH_CONDITIONS"])
model = runpy.run_path(conditions["entry"], run_name="genome")["build_model"]()
news = {"type": "weight", "parameters": sum(p.numel() for p in model.parameters())}
line = int(os.environ["EVORESEARCH_HARNESS"].split(",")[1])
os.write(line, json.dumps(news).encode() + b"\n")
