"""Is a calibrated CPU budget as repeatable as a fixed number of steps, and fair to unlike genomes?

Two questions, each beside a busy process that comes and goes (seeded):

1. *Score.* The baseline trains once per seed under each arm: ``steps`` (fixed tokens: what the
   seeds alone do), ``calibrated`` (as the search does it: each run calibrates anew), ``seconds``
   (plain CPU-seconds). Reported: sd of val_bpb, and its ratio to ``steps`` with a bootstrap interval.
2. *Work.* The baseline, a memory-bound and a compute-bound genome are calibrated repeatedly.
   Reported: sd of the tokens granted, and their bias against a quiet measurement, many times as
   long, of mean CPU-seconds per token.

    python benchmarks/budget.py --repeats 12 --seconds 10 --json budget.json
"""

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from evolution.config import usable_cores
from evolution.executors import Finished, Job, LocalExecutor
from evolution.profiles import load_profile
from evolution.ruler import Ruler
from evolution.sitting import local_executor
from evolution.templates import template_path
from population import Budget, BudgetKind, Conditions, Genome, set_knobs

#: Unlike the baseline: most time in moving memory, and most time in matrix products.
UNLIKE = {
    "baseline": {},
    "memory_bound": {"WIDTH": 64, "SOFTCAP": 15.0, "BATCH_SIZE": 64, "DEPTH": 1},
    "compute_bound": {"WIDTH": 256, "MLP_RATIO": 8, "SOFTCAP": 0.0, "DEPTH": 3},
}
