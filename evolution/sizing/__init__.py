"""Sizing: which profile, at which sizes, suits the machine at hand (pure)."""

from evolution.sizing.choice import AUTO, Choice, choose, with_note
from evolution.sizing.machine import Gpu, Machine
from evolution.sizing.memory import Shape, parameter_count, training_mb

__all__ = [
    "AUTO",
    "Choice",
    "Gpu",
    "Machine",
    "Shape",
    "choose",
    "parameter_count",
    "training_mb",
    "with_note",
]
