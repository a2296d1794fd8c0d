"""Forms: tools with strict schemas, in which models hand in what they were asked for. Pure."""

from agents.model import Tool
from population.records import Json


def form(**properties: Json) -> dict[str, Json]:
    """A strict schema: an object with these properties, all of them, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def text_of(description: str) -> dict[str, Json]:
    """The schema of a string."""
    return {"type": "string", "description": description}


EDITS: Json = {
    "type": "array",
    "description": "Replacements, all applied to the original text. [] if files has the change.",
    "items": form(
        path=text_of("The file, as it is named above its text."),
        search=text_of(
            "Whole lines of that file, copied exactly, indentation included: enough of them that "
            "they occur once. Not a pattern, no line numbers."
        ),
        replace=text_of('The lines that take their place; "" deletes them.'),
    ),
}
FILES: Json = {
    "type": "array",
    "description": "Files that are given whole, in place of edits. [] as a rule.",
    "items": form(path=text_of("The file."), text=text_of("All of its new text.")),
}

SUBMIT_VARIANT = Tool(
    "submit_variant",
    "Hand in the offspring: one idea, as edits of the genome. This ends your work on it.",
    form(
        hypothesis=text_of(
            "One line: what is changed, by what mechanism it acts, why that should help here."
        ),
        expected_gain={
            "type": "number",
            "description": "Your honest expectation of the gain, in the score's unit; positive is "
            "better. Compare it with the noise of one trial and with the effects you were shown.",
        },
        suggestion=text_of(
            "The id of the suggestion of the run's owners that this carries out, such as S3; "
            '"" if none.'
        ),
        edits=EDITS,
        files=FILES,
    ),
)
