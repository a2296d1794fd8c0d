"""Tokens before a provider has counted them: an estimate that needs no tokenizer. Pure.

Bounds what is shown. What a call may cost at most is ``agents.prices``' to say.
"""

#: Bytes that a token stands for. Of English and code providers count 3 to 4.5 a token.
BYTES_PER_TOKEN = 3


def estimated_tokens(text: str) -> int:
    """About how many tokens ``text`` is; rather too many than too few for English and code."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
