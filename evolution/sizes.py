"""Sizes: which of those that profile and settings ask for the genome of a run does not take (pure).

The shipped genome takes them all; one that was edited is taken as it is.
"""

from collections.abc import Mapping

from population import KnobValue, knobs


def unreached_sizes(text: str, sizes: Mapping[str, KnobValue]) -> dict[str, KnobValue]:
    """Knobs that a genome has otherwise than asked for, with its own values.

    Args:
        text: The genome that a run starts from.
        sizes: What profile and settings ask for.
    """
    own = knobs(text)
    return {name: own[name] for name, size in sizes.items() if name in own and own[name] != size}


def sizes_notice(
    source: str, text: str, sizes: Mapping[str, KnobValue], *, profile: str
) -> str | None:
    """What to say of them; None if the genome has all sizes that are asked for.

    Args:
        source: Where the genome lies.
        text: The genome.
        sizes: What profile and settings ask for.
        profile: Name of the profile.
    """
    unreached = unreached_sizes(text, sizes)
    if not unreached:
        return None
    kept = ", ".join(f"{name} = {value} (not {sizes[name]})" for name, value in unreached.items())
    return (
        f"{source} was edited and keeps its own sizes: {kept}; those of profile {profile} and of "
        "run.knobs reach the shipped one alone: set them in the file if you want them"
    )
