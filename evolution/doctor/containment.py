"""Whether trainers can be held here, at which level, and what would give a stronger one."""

from evolution.config import EvolutionConfig
from evolution.containment import remedy
from evolution.doctor.finding import Finding
from evolution.doctor.finding import Level as Standing
from evolution.sandbox.levels import Level, LevelReport


def containment_finding(report: LevelReport, settings: EvolutionConfig | None) -> Finding:
    """The level that a run would get, and why not a stronger one.

    Args:
        report: What works here.
        settings: Of the project; None if they cannot be read.
    """
    asked = "auto" if settings is None else settings.sandbox.level
    reasons = {level.value: reason for level, reason in report.reasons.items() if reason}
    facts: dict[str, object] = {"level": report.level.value, "asked": asked, "reasons": reasons}
    why = "; ".join(f"no {name}: {reason}" for name, reason in reasons.items())
    words = report.level.value + (f" ({why})" if why else "")
    if asked not in ("auto", "basic", report.level.value) and reasons.get(asked):
        words = f"settings ask for {asked}, which does not work: {reasons[asked]}"
        return Finding("containment", Standing.PROBLEM, words, remedy(), facts)
    if asked == "basic" or report.level is Level.BASIC:
        words = "basic: no box; " + (why or "settings ask for it")
        way = f"{remedy()} " if report.level is Level.BASIC else 'Set [sandbox] level = "auto". '
        way += "Or train without a box: `evolve run --allow-unsafe`."
        return Finding("containment", Standing.PROBLEM, words, way, facts)
    if report.level is not Level.NAMESPACE:
        return Finding("containment", Standing.WARNING, words, remedy(), facts)
    return Finding("containment", Standing.OK, words, facts=facts)
