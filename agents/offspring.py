"""What every operator owes its offspring: it keeps the contract and was not tried before."""

from agents.operator import Context
from population import Genome, canonical_hash, contract_problems


def offspring_problem(genome: Genome, context: Context) -> str | None:
    """Why ``genome`` is no offspring of ``context``'s parents, in one line; None if it is one."""
    problems = contract_problems(genome, context.contract)
    if problems:
        listed = "; ".join(f"{p.rule} (line {p.line}): {p.message}" for p in problems[:5])
        return f"breaks the contract: {listed}"
    genome_hash = canonical_hash(genome)
    if any(genome_hash == canonical_hash(parent.genome) for parent in context.parents):
        return "is equal to a parent: comments, layout and names of locals aside"
    if genome_hash in context.seen:
        return "was tried before in this run"
    return None
