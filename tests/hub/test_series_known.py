"""What the stores know by heart of series and hours: no more than is said, and never anything else than is stored."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.accounts import HOUR_MS
from sync.hub.store.closed import touched
from sync.hub.store.layouts import KnownSeries
from sync.hub.store.sqlite import SqliteStore
from tests.hub.stores import audit
from tests.values import METER, meter

TIMES = [0, HOUR_MS - 1, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS + 5, 5 * HOUR_MS]
ROWS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(TIMES)))


@given(ROWS)
def test_the_hours_that_a_batch_touches_are_those_of_its_records(rows: list[tuple[int, int]]) -> None:
    assert touched(rows) == sorted({(series, ts - ts % HOUR_MS) for series, ts in rows})


async def test_more_series_than_are_known_by_heart_are_asked_for_again(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "hub.db")
    layouts = [METER, meter("second"), meter("third")]
    await store.take_layouts(layouts, audit())
    known = KnownSeries(store.sql, most=2)
    assert await known.of("node", b"never sent") is None
    for _ in range(2):
        found = [await known.of("node", layout.id) for layout in layouts]
        assert [one and one.row_size for one in found] == [layout.rows.size for layout in layouts]
        assert len({one.id for one in found if one}) == 3
        assert known.count <= 2
    await store.close()
