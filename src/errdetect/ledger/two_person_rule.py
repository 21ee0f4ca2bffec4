"""The two-person rule: some actions need a second person's approval."""

import unicodedata

from errdetect.errors import Refusal, error_message

__all__ = ["require_two_people"]


def require_two_people(by: str, approved_by: str) -> tuple[str, str]:
    """Check that two different people act and approve, and return their names, trimmed.

    Parameters
    ----------
    by, approved_by
        The person who acts, and the one who approved. Case, width and spaces do not matter.

    Raises
    ------
    Refusal
        If a name is empty or both names are the same.

    Examples
    --------
    >>> require_two_people(" Ann ", "Bob")
    ('Ann', 'Bob')
    >>> try:
    ...     require_two_people("Ann Lee", "ann  lee ")
    ... except Refusal as refusal:
    ...     print(refusal)
    --approved-by must name a second person, got the same as --by. Ask someone else to approve.
    """
    names = [" ".join(unicodedata.normalize("NFKC", name).split()) for name in (by, approved_by)]
    for option, name in zip(("--by", "--approved-by"), names, strict=True):
        if not name:
            do = "Name the person responsible."
            raise Refusal(error_message(option, "name a person", "nothing", do))
    if len({"".join(name.split()).casefold() for name in names}) == 1:
        do = "Ask someone else to approve."
        raise Refusal(
            error_message("--approved-by", "name a second person", "the same as --by", do)
        )
    return names[0], names[1]
