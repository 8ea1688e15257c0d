"""Whose numbers are in each total: sorted names, each once, at most a hundred; anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.wire import convert
from federation.wire.v1 import coordinator_service_pb2 as pb

names = st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True)
cohorts = st.sets(names, max_size=6).map(lambda found: tuple(sorted(found)))


@given(st.lists(cohorts, max_size=5).map(tuple))
def test_what_is_told_is_what_is_read(contributors: tuple[tuple[str, ...], ...]) -> None:
    response = pb.FetchResponse(totals=[b""] * len(contributors), contributors=convert.contributors_to(contributors))
    again = pb.FetchResponse.FromString(response.SerializeToString())
    assert convert.contributors_from(again.contributors) == contributors


@pytest.mark.parametrize(
    ("parties", "why"),
    [
        (("hongkong", "guangdong"), "not sorted"),
        (("guangdong", "guangdong", "macao"), "one twice"),
        (("Guangdong",), "a contributor that is not a name"),
        (("",), "a contributor that is not a name"),
        (("gd\n",), "a contributor that is not a name"),
        (tuple(f"p{number:03}" for number in range(101)), "more than 100 contributors"),
    ],
)
def test_a_list_that_no_honest_coordinator_sends_is_refused(parties: tuple[str, ...], why: str) -> None:
    messages = [pb.Contributors(parties=["guangdong", "hongkong", "macao"]), pb.Contributors(parties=parties)]
    with pytest.raises(convert.Malformed, match=why) as caught:
        convert.contributors_from(messages)
    assert not any(party in str(caught.value) for party in parties if party), "what is refused is never quoted"


def test_more_totals_than_any_job_has_are_refused() -> None:
    with pytest.raises(convert.Malformed, match="more than 10000 totals"):
        convert.contributors_from([pb.Contributors()] * 10_001)
