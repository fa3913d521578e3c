"""What energy costs: by time of use, season and market, over daylight changes, however it was cut."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.cost import Cost, Interval, Price, cost_of_energy, cost_of_standing
from gateway.core.errors import ConfigError
from gateway.core.localtime import QUARTER_MS, begin_of, minutes_of
from gateway.core.tariff import Tariff
from gateway.core.tariffcheck import mistakes, parse_tariff
from gateway.core.timeofuse import QUARTERS, TimeOfUse

HOUR_MS = 4 * QUARTER_MS

WARSAW = """
name: Two zones
currency: PLN
timezone: Europe/Warsaw
vat: 23
holidays: [2026-11-11]
versions:
  - from: 2026-01-01
    import:
      - name: Energy
        periods:
          - name: night
            price: "0.40"
            when:
              - {times: ["22:00-06:00", "13:00-15:00"]}
              - {days: [sat, sun, holiday], times: ["06:00-13:00", "15:00-22:00"]}
          - {name: day, price: "0.90"}
      - {name: Excise, price: "0.005", vat: 0}
    export:
      - {name: Sold, market: {factor: "1", floor: "0"}}
    fixed:
      - {name: Subscription, per: month, price: "9.30"}
"""
BERLIN = """
name: Dynamic
currency: EUR
timezone: Europe/Berlin
vat: 19
versions:
  - from: 2026-01-01
    import: [{name: Energy, market: {markup: "0.15"}}]
  - from: 2026-10-16
    import: [{name: Energy, market: {factor: "1.02", markup: "0.16"}}]
    fixed: [{name: Meter, per: year, price: "36.50"}]
    power: [{name: Peak, per: month, price: "10", window_minutes: 60}]
"""
LORD_HOWE = """
name: Island
currency: AUD
timezone: Australia/Lord_Howe
versions:
  - from: 2026-01-01
    import:
      - name: Energy
        periods:
          - {name: first, price: "1", when: [{times: ["00:00-02:00"]}]}
          - {name: later, price: "2", when: [{times: ["02:00-24:00"]}]}
"""


def at(zone: str, text: str, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def hours(zone: str, day: date, kwh: str = "1") -> list[Interval]:
    """Each hour of a local day draws so much; where the day has a half hour, that half of it."""
    lo = begin_of(day, ZoneInfo(zone))
    hi = lo + minutes_of(day, ZoneInfo(zone)) * 60_000
    return [
        Interval(ts, min(ts + HOUR_MS, hi), Fraction(kwh) * (min(ts + HOUR_MS, hi) - ts) / HOUR_MS, Fraction(0))
        for ts in range(lo, hi, HOUR_MS)
    ]


def kwh(cost: Cost) -> dict[str, Decimal | None]:
    return {line.period or line.component: line.kwh for line in cost.lines}


def test_a_day_in_warsaw_as_worked_out_by_hand() -> None:
    tariff, friday = parse_tariff(WARSAW), date(2026, 11, 20)
    cost = cost_of_energy(tariff, friday, date(2026, 11, 21), hours("Europe/Warsaw", friday), [], "day")
    # night: 22-06 and 13-15, ten hours at 0.40; day: fourteen at 0.90; excise 24 x 0.005 without VAT
    assert [(line.period, line.net, line.vat) for line in cost.lines] == [
        ("night", Decimal("4.000000"), Decimal("0.920000")),
        ("day", Decimal("12.600000"), Decimal("2.898000")),
        ("", Decimal("0.120000"), Decimal("0.000000")),
    ]
    assert cost.gross == Decimal("20.538")


@pytest.mark.parametrize(
    ("day", "night"), [("2026-11-21", 24), ("2026-11-11", 24), ("2026-03-29", 23), ("2026-10-25", 25)]
)
def test_weekends_and_holidays_are_night_all_day_and_daylight_changes_make_them_shorter_or_longer(
    day: str, night: int
) -> None:
    on = date.fromisoformat(day)
    cost = cost_of_energy(
        parse_tariff(WARSAW), on, date.fromordinal(on.toordinal() + 1), hours("Europe/Warsaw", on), [], "day"
    )
    assert kwh(cost) == {"night": night, "Excise": night}


def test_the_hour_that_comes_twice_costs_twice() -> None:
    first, second = at("Europe/Warsaw", "2026-10-25T02:00"), at("Europe/Warsaw", "2026-10-25T02:00", fold=1)
    assert second - first == HOUR_MS
    drawn = [Interval(ts, ts + HOUR_MS, Fraction(1), Fraction(0)) for ts in (first, second)]
    cost = cost_of_energy(parse_tariff(WARSAW), date(2026, 10, 25), date(2026, 10, 26), drawn, [], "day")
    assert kwh(cost)["night"] == 2


def test_a_tariff_changes_in_the_middle_of_a_month_at_local_midnight() -> None:
    tariff, change = parse_tariff(BERLIN), at("Europe/Berlin", "2026-10-16T00:00")
    drawn = [Interval(change - HOUR_MS, change + HOUR_MS, Fraction(2), Fraction(0))]
    prices = [Price(change - HOUR_MS, 60, Decimal(100), "EUR"), Price(change, 60, Decimal(-50), "EUR")]
    cost = cost_of_energy(tariff, date(2026, 10, 1), date(2026, 11, 1), drawn, prices, "month")
    # 1 kWh at 0.1 + 0.15; 1 kWh at -0.05 x 1.02 + 0.16
    assert [(str(line.version), line.net) for line in cost.lines] == [
        ("2026-01-01", Decimal("0.25")), ("2026-10-16", Decimal("0.109")),
    ]  # fmt: skip


def test_fixed_charges_bear_whole_months_and_years_day_by_day() -> None:
    tariff = parse_tariff(BERLIN)
    drawn = [Interval(ts, ts + HOUR_MS, Fraction(3), Fraction(0)) for ts in [at("Europe/Berlin", "2026-10-20T10:00")]]
    cost = cost_of_standing(tariff, date(2026, 10, 1), date(2026, 11, 1), drawn, "month")
    # the power of 3 kW at 10 for 16 of 31 days; 16 of 365 days of 36.50
    assert {line.component: line.net for line in cost.lines} == {
        "Peak": Decimal("15.483871"), "Meter": Decimal("1.600000"),
    }  # fmt: skip
    month = cost_of_standing(parse_tariff(WARSAW), date(2026, 2, 1), date(2026, 3, 1), [], "month")
    assert month.net == Decimal("9.30")


def test_lord_howe_changes_its_clocks_by_half_an_hour() -> None:
    tariff = parse_tariff(LORD_HOWE)
    for day, first in ((date(2026, 4, 5), "2.5"), (date(2026, 10, 4), "2"), (date(2026, 6, 1), "2")):
        tomorrow = date.fromordinal(day.toordinal() + 1)
        cost = cost_of_energy(tariff, day, tomorrow, hours("Australia/Lord_Howe", day), [], "day")
        whole = Decimal(minutes_of(day, ZoneInfo("Australia/Lord_Howe"))) / 60
        assert kwh(cost) == {"first": Decimal(first), "later": whole - Decimal(first)}, day


def test_what_the_market_has_no_price_for_is_told_and_not_billed() -> None:
    tariff, ts = parse_tariff(BERLIN), at("Europe/Berlin", "2026-05-01T00:00")
    drawn = [Interval(ts, ts + 3 * HOUR_MS, Fraction(3), Fraction(0))]
    prices = [Price(ts, 60, Decimal(100), "EUR")]
    cost = cost_of_energy(tariff, date(2026, 5, 1), date(2026, 5, 2), drawn, prices, "day")
    assert kwh(cost) == {"Energy": 1}
    (gap,) = cost.unbilled
    assert (gap.ts, gap.until, gap.kwh, gap.why) == (ts + HOUR_MS, ts + 3 * HOUR_MS, Decimal(2), "no price")


def test_what_was_drawn_before_the_first_version_is_told() -> None:
    ts = at("Europe/Berlin", "2025-12-31T23:00")
    drawn = [Interval(ts, ts + 2 * HOUR_MS, Fraction(2), Fraction(0))]
    prices = [Price(ts, 120, Decimal(0), "EUR")]
    cost = cost_of_energy(parse_tariff(BERLIN), date(2025, 12, 1), date(2026, 2, 1), drawn, prices, "period")
    assert [(gap.kwh, gap.why) for gap in cost.unbilled] == [(1, "no tariff yet")]
    assert cost.net == Decimal("0.15")


def test_selling_brings_in_the_markets_price_but_never_costs() -> None:
    ts = at("Europe/Warsaw", "2026-06-01T12:00")
    sold = [Interval(ts, ts + 2 * HOUR_MS, Fraction(0), Fraction(10))]
    prices = [Price(ts, 60, Decimal(-200), "PLN"), Price(ts + HOUR_MS, 60, Decimal(300), "PLN")]
    cost = cost_of_energy(parse_tariff(WARSAW), date(2026, 6, 1), date(2026, 6, 2), sold, prices, "day")
    assert (cost.net, cost.vat) == (Decimal("-1.5"), 0)


def test_prices_in_another_currency_are_refused() -> None:
    with pytest.raises(ValueError, match="EUR do not fit a tariff in PLN"):
        cost_of_energy(
            parse_tariff(WARSAW), date(2026, 6, 1), date(2026, 6, 2), [], [Price(0, 60, Decimal(1), "EUR")], "day"
        )


def test_an_interval_across_the_quarters_is_refused() -> None:
    with pytest.raises(ValueError, match="quarters"):
        odd = [Interval(60_000, HOUR_MS, Fraction(1), Fraction(0))]
        cost_of_energy(parse_tariff(WARSAW), date(2026, 6, 1), date(2026, 6, 2), odd, [], "day")


TARIFFS = {text: parse_tariff(text) for text in (WARSAW, BERLIN, LORD_HOWE)}
SPAN = {"PLN": date(2026, 10, 24), "EUR": date(2026, 10, 24), "AUD": date(2026, 4, 4)}


def market(tariff: Tariff) -> list[Price]:
    lo = begin_of(SPAN[tariff.currency], ZoneInfo(tariff.timezone))
    return [Price(lo + n * HOUR_MS, 60, Decimal(n * 7 % 31), tariff.currency) for n in range(60)]


pieces = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 12), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=12
)


def intervals_of(tariff: Tariff, pieces: Sequence[tuple[int, int, int, int]]) -> list[Interval]:
    lo = begin_of(SPAN[tariff.currency], ZoneInfo(tariff.timezone))
    return [
        Interval(lo + q * QUARTER_MS, lo + (q + n) * QUARTER_MS, Fraction(a, 10**6), Fraction(b, 10**6))
        for q, n, a, b in pieces
    ]


def whole(tariff: Tariff, intervals: Sequence[Interval]) -> tuple[Cost, Cost]:
    since = SPAN[tariff.currency]
    until = date.fromordinal(since.toordinal() + 2)
    prices = market(tariff)
    return (
        cost_of_energy(tariff, since, until, intervals, prices, "day"),
        cost_of_standing(tariff, since, until, intervals, "day"),
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([WARSAW, BERLIN, LORD_HOWE]), pieces, st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_cut_of_intervals_changes_anything(text, drawn, random) -> None:  # type: ignore[no-untyped-def]
    tariff = TARIFFS[text]
    intervals = intervals_of(tariff, drawn)
    split = []
    for interval in intervals:
        n = (interval.until - interval.ts) // QUARTER_MS
        middle = interval.ts + random.randint(0, n) * QUARTER_MS
        for lo, hi in ((interval.ts, middle), (middle, interval.until)):
            if hi > lo:
                part = Fraction(hi - lo, interval.until - interval.ts)
                split.append(Interval(lo, hi, interval.imported * part, interval.exported * part))
    random.shuffle(split)
    assert whole(tariff, split) == whole(tariff, intervals)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([WARSAW, BERLIN, LORD_HOWE]), pieces)
def test_totals_are_sums_of_lines_and_all_energy_is_in_one_line_or_told(text, drawn) -> None:  # type: ignore[no-untyped-def]
    tariff = TARIFFS[text]
    since = SPAN[tariff.currency]
    intervals = intervals_of(tariff, drawn)
    cost, _ = whole(tariff, intervals)
    assert cost.gross == sum((line.net + line.vat for line in cost.lines), Decimal(0))
    lo = begin_of(since, ZoneInfo(tariff.timezone))
    hi = begin_of(date.fromordinal(since.toordinal() + 2), ZoneInfo(tariff.timezone))
    inside = sum(
        (i.imported * max(0, min(i.until, hi) - max(i.ts, lo)) / (i.until - i.ts) for i in intervals), Fraction(0)
    )
    energy = sum(line.kwh or 0 for line in cost.lines if line.component == "Energy")
    unpriced = sum(gap.kwh for gap in cost.unbilled if gap.component == "Energy")
    assert abs(Fraction(energy + unpriced) - inside) < Fraction(1, 10**4)


@given(st.sampled_from([WARSAW, LORD_HOWE]), st.dates(date(2026, 1, 1), date(2030, 1, 1)))
def test_each_instant_belongs_to_one_period(text: str, day: date) -> None:
    tariff = TARIFFS[text]
    use = TimeOfUse(tariff.versions[0].bought[0], tariff.holidays)
    assert all(use.period(day, quarter) in (0, 1) for quarter in range(QUARTERS))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("          - {name: day, price: \"0.90\"}\n", "", "mon 06:00-13:00 belongs to no period of Energy"),
        ("name: day, price: \"0.90\"", "name: day, price: \"0.90\", when: [{times: [\"05:00-22:00\"]}]",
         "mon 05:00-06:00 belongs to night and day"),
        ("price: \"0.005\"", "price: \"0.005\", market: {}", "Excise has 2 of price, periods and market"),
        ("Europe/Warsaw", "Europe/Warsawa", "is no time zone"),
        ("22:00-06:00", "22:10-06:00", "expected local times as 22:00-06:00"),
        ("vat: 23", "vat: 230", "expected a number from 0 to 100"),
        ("price: \"0.40\"", "price: \"a lot\"", "periods[0].price"),
        ("price: \"0.40\"", "price: NaN", "periods[0].price"),
        ("per: month", "per: week", "expected one of day, month, year"),
        ("[2026-11-11]", "[2026-11-11, 2026-11-11]", "is here twice"),
        ("days: [sat", "days: [saturday", "saturday"),
        ("timezone:", "time_zone:", "did you mean timezone?"),
    ],
)  # fmt: skip
def test_a_wrong_tariff_is_refused_with_its_place(old: str, new: str, said: str) -> None:
    assert old in WARSAW
    found = mistakes(WARSAW.replace(old, new))
    assert found
    assert said in "\n".join(error.in_full for error in found)
    assert all(str(error).startswith("tariff:") for error in found)
    with pytest.raises(ConfigError):
        parse_tariff(WARSAW.replace(old, new))


def test_versions_out_of_order_are_refused() -> None:
    (found,) = mistakes(BERLIN.replace("2026-10-16", "2026-01-01"))
    assert "versions[1].from: 2026-01-01 is not after 2026-01-01" in found.in_full


def test_seasons_have_their_own_periods() -> None:
    text = LORD_HOWE.replace(
        'when: [{times: ["02:00-24:00"]}]', 'when: [{times: ["02:00-24:00"], seasons: ["04-01..09-30"]}]'
    )
    (found,) = mistakes(text)
    assert "mon 02:00-24:00 belongs to no period" in found.in_full
    summer = '- {name: summer, price: 3, when: [{times: ["02:00-24:00"], seasons: ["10-01..03-31"]}]}'
    both = text.replace("          - {name: later", f"          {summer}\n          - {{name: later")
    assert mistakes(both) == []
    overlapping = both.replace("03-31", "04-02")
    assert "from 04-01 on belongs to summer and later" in mistakes(overlapping)[0].in_full


def test_a_day_between_two_seasons_is_missed() -> None:
    text = LORD_HOWE.replace('["00:00-02:00"]', '["00:00-24:00"], seasons: ["01-01..03-30"]')
    text = text.replace('["02:00-24:00"]', '["00:00-24:00"], seasons: ["04-01..12-31"]')
    (found,) = mistakes(text)
    assert "mon 00:00-24:00, from 03-31 on belongs to no period" in found.in_full
