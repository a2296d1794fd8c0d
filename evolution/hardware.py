"""Facts of the machine that trains, in words: for prompts, one line each."""

import platform
import re
from pathlib import Path

import psutil

from population import Budget, BudgetKind, one_line

_BUDGETS = {
    BudgetKind.WALL: "{:g} wall seconds",
    BudgetKind.CPU: "the work that the baseline does in {:g} CPU-seconds",
    BudgetKind.TOKENS: "{:g} training tokens",
}


def machine_facts(device_class: str, slot_count: int, budget: Budget) -> str:
    """What trains, how many at once, and what one trial may spend."""
    device = _processor() if device_class == "cpu" else device_class
    memory = psutil.virtual_memory().total / 2**30
    count = psutil.cpu_count() or 1
    return "\n".join(
        (
            f"trainers run on: {one_line(device)}, {slot_count} at once, each by itself",
            f"the machine has {count} processor cores and {memory:.0f} GiB of memory",
            f"a trial may spend {_BUDGETS[budget.kind].format(budget.amount)}",
        )
    )


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    facts = Path("/proc/cpuinfo")
    text = facts.read_text(errors="replace") if facts.is_file() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return f"cpu, {found[1] if found else platform.processor() or platform.machine()}"
