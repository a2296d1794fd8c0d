"""The schema: a step a file in ``versions``; ``steps`` takes them, ``env`` is Alembic's way in."""
