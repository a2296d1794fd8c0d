"""EvolveError: a user's mistake or a refusal. The command line prints it; nothing here does."""


class EvolveError(Exception):
    """What was found, what was needed, what to do next, in that order.

    The command line prints the text alone and leaves with `exit_code`: 2 for usage and settings,
    1 where a run was under way and failed. Anything that is not an EvolveError is a bug and keeps
    its traceback.
    """

    exit_code: int = 2
