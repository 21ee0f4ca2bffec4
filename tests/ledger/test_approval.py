"""Two people are two, however their names are written."""

import pytest

from errdetect.errors import Refusal
from errdetect.ledger.remediation_records import require_two_people


@pytest.mark.parametrize(
    ("by", "approved_by", "says"),
    [
        ("ann", "Ann", "must name a second person, got the same as --by"),
        ("Ann Lee", " ann\u00a0LEE ", "must name a second person"),
        ("ann", "ａｎｎ", "must name a second person"),
        ("annlee", "ann lee", "must name a second person"),
        ("ann", "  ", "--approved-by must name a person, got nothing"),
        ("", "bob", "--by must name a person, got nothing"),
    ],
)
def test_two_people_are_two(by, approved_by, says):
    with pytest.raises(Refusal, match=says):
        require_two_people(by, approved_by)
