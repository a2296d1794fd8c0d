"""What every operator owes its offspring: contract and manual are kept, and it is new."""

from agents.operator import Context
from population import Genome, canonical_hash, rule_problems


def offspring_problem(genome: Genome, context: Context) -> str | None:
    """Why ``genome`` is no offspring of ``context``'s parents, in one line; None if it is one."""
    problems = rule_problems(context.manual, genome, context.baseline, context.contract)
    if problems:
        listed = "; ".join(f"{p.rule} (line {p.line}): {p.message}" for p in problems[:5])
        is_frozen = all(problem.rule == "frozen" for problem in problems)
        return f"breaks {'program.md' if is_frozen else 'the contract'}: {listed}"
    genome_hash = canonical_hash(genome)
    if any(genome_hash == canonical_hash(parent.genome) for parent in context.parents):
        return "is equal to a parent: comments, layout and names of locals aside"
    if genome_hash in context.seen:
        return "was tried before in this run"
    return None
