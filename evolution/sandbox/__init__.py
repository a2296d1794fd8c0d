"""Containment: the supervisor that owns one trial's processes, and what it is made of."""
