"""Files that were changed by chance: bytes put in, written over, cut out, cut off and repeated."""

from typing import Any, TypeAlias

from hypothesis import strategies as st

Edit: TypeAlias = tuple[str, float, Any]
"""What is done, at which share of the length, and with what."""


def edits(tokens: list[bytes], longest: int) -> st.SearchStrategy[list[Edit]]:
    """One to four edits: bytes of these or any others are put in, and up to so many cut out or repeated."""
    places = st.floats(0, 1, exclude_max=True)
    things = st.sampled_from(tokens) | st.binary(min_size=1, max_size=9)
    edit = st.one_of(
        st.tuples(st.just("put"), places, things),
        st.tuples(st.just("write over"), places, things),
        st.tuples(st.just("cut out"), places, st.integers(1, longest)),
        st.tuples(st.just("cut off"), places, st.just(0)),
        st.tuples(st.just("repeat"), places, st.integers(1, longest)),
    )
    return st.lists(edit, min_size=1, max_size=4)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after these edits, one after the other."""
    for kind, share, thing in edits:
        place = int(share * len(data))
        if kind == "put":
            data = data[:place] + thing + data[place:]
        elif kind == "write over":
            data = data[:place] + thing + data[place + len(thing) :]
        elif kind == "cut out":
            data = data[:place] + data[place + thing :]
        elif kind == "cut off":
            data = data[:place]
        else:
            data = data[: place + thing] + data[place : place + thing] + data[place + thing :]
    return data
