"""The engine with one of its mechanisms changed: what each is worth, as arms of the search.

Niches are not among them: genomes of worlds differ in nothing that a niche could be of.
"""

from collections.abc import Mapping
from typing import Any

#: By the name of the arm, what it changes in the shipped settings.
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "without guided": {"operators.guided": 0.0},
    "without merge": {"operators.merge": 0.0},
    "without stopping": {"stopping.enabled": False},
    "without publication": {"verdict.publication_share": 0.0},
    "with fixed weights": {"operators.adaptive": False},
    "with the tuner": {"operators.tuner": 0.35},
    "with islands": {"islands.count": 4},
    "with an answer to plateaus": {"plateau.responds": True},
}
