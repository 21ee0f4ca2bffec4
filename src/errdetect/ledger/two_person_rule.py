"""Two people stand behind what cannot be done by one alone."""

import unicodedata

from errdetect.errors import Refusal, error_message

__all__ = ["require_two_people"]


def require_two_people(by: str, approved_by: str) -> tuple[str, str]:
    """Check that two people stand behind what is done, and return their names, trimmed.

    Parameters
    ----------
    by, approved_by
        Who does it, and who approved it. Letters' case, width and spaces make no other person.

    Raises
    ------
    Refusal
        If a name is empty or both are the same.

    Examples
    --------
    >>> require_two_people(" Ann ", "Bob")
    ('Ann', 'Bob')
    >>> try:
    ...     require_two_people("Ann Lee", "ann  lee ")
    ... except Refusal as refusal:
    ...     print(refusal)
    --approved-by must name a second person, got the same as --by. Ask somebody else to approve.
    """
    names = [" ".join(unicodedata.normalize("NFKC", name).split()) for name in (by, approved_by)]
    for option, name in zip(("--by", "--approved-by"), names, strict=True):
        if not name:
            do = "Say who stands behind it."
            raise Refusal(error_message(option, "name a person", "nothing", do))
    if len({"".join(name.split()).casefold() for name in names}) == 1:
        do = "Ask somebody else to approve."
        raise Refusal(
            error_message("--approved-by", "name a second person", "the same as --by", do)
        )
    return names[0], names[1]
