"""What the hub's commands do, each by itself."""

from pathlib import Path

import pytest

from gateway.buffer.buffer import Buffer
from gateway.core.errors import ConfigError, HoldfastError
from gateway.core.span import Span
from gateway.core.status import BufferState, ClockState, DeviceState, SiteState, SyncState
from gateway.executors import Configurer, comparer, resender, restarter
from gateway.health import problems
from gateway.trial import Trial, Trials
from tests.sync.controlling import command
from tests.values import METER, power

OLD, NEW = "site: {name: Old}\n", "site: {name: New}\n"


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("all", [Span(0, 9)]),
        ('{"since": 3000, "until": 4000}', [Span(3, 6), Span(6, 9)]),
        ('{"since": 5000, "until": 6000}', [Span(3, 6), Span(6, 9)]),
        ('{"since": 6000, "until": 7000}', [Span(6, 9)]),
        ('{"since": 0, "until": 1}', [Span(0, 3), Span(6, 9)]),
    ],
)
async def test_resend_names_the_seqs_among_which_that_time_is(tmp_path: Path, body: str, asked: list[Span]) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    for first in (0, 3, 6):
        buffer.put(METER, [power(1000 * (first + n)) for n in range(3)])
        await buffer.flushed()
        if first < 6:
            await buffer.sealing.seal()
    found: list[Span] = []
    outcome = await resender(buffer, found.extend)(command("a", "RESEND", body=body))
    await buffer.close()
    assert found == asked
    assert outcome.words == f"{sum(map(len, asked))} records are sent once more"


@pytest.mark.parametrize("body", ["", "{}", '{"since": -1, "until": 5}', '{"since": 1}', "[]"])
async def test_resend_says_what_it_expects(tmp_path: Path, body: str) -> None:
    buffer = await Buffer.open(tmp_path / "buffer.db")
    with pytest.raises(HoldfastError) as refused:
        await resender(buffer, lambda spans: None)(command("a", "RESEND", body=body))
    await buffer.close()
    assert '{"since": MS, "until": MS} or all' in refused.value.hint


async def test_a_comparison_and_a_restart_are_asked_for() -> None:
    asked: list[str] = []
    await comparer(lambda: asked.append("compare"))(command("a"))
    outcome = await restarter(lambda: asked.append("check"), lambda: asked.append("restart"))(command("a"))
    assert asked == ["compare", "check"]
    assert outcome.then is not None
    outcome.then()
    assert asked == ["compare", "check", "restart"]


def no_good(text: str | None = None) -> None:
    raise ConfigError("site.yaml:1: nonsense")


async def test_a_gateway_that_could_not_start_again_does_not_end() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        await restarter(no_good, lambda: None)(command("a"))


def configurer(folder: Path, *, good: bool = True) -> Configurer:
    (folder / "site.yaml").write_text(OLD)
    trials = Trials(folder / "site.yaml")
    check = (lambda text: None) if good else no_good
    return Configurer(trials, check, lambda command_id, sha: Trial(command_id, sha, True, (), 0), lambda: None)


async def test_a_good_configuration_goes_on_trial_and_another_has_to_wait(tmp_path: Path) -> None:
    one = configurer(tmp_path)
    outcome = await one.execute(command("a", "CONFIGURE", body=NEW))
    assert outcome.pending
    assert (tmp_path / "site.yaml").read_text() == NEW
    with pytest.raises(ConfigError, match="on trial"):
        await one.execute(command("b", "CONFIGURE", body=OLD))


async def test_a_configuration_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        await configurer(tmp_path, good=False).execute(command("a", "CONFIGURE", body="site: 1"))
    assert [file.name for file in tmp_path.iterdir()] == ["site.yaml"]
    assert (tmp_path / "site.yaml").read_text() == OLD


async def test_the_configuration_that_is_there_already_needs_no_trial(tmp_path: Path) -> None:
    outcome = await configurer(tmp_path).execute(command("a", "CONFIGURE", body=OLD))
    assert (outcome.words, outcome.pending, outcome.then) == ("it is the configuration already", False, None)


def test_problems_are_told_one_by_one_and_a_healthy_site_has_none() -> None:
    devices = (DeviceState("meter", "grid", "p", "online", 1), DeviceState("inverter", "pv", "p", "offline", 1))
    well = SiteState("s", "1", 1, devices[:1], BufferState(0, 0), SyncState(hub=""))
    assert problems(well) == ()
    ill = SiteState(
        "s", "1", 1, devices, BufferState(0, 0, error="full", warning="small", dropped=3),
        SyncState(hub="", quarantined=2), clock=ClockState(known=False, source="estimate"),
    )  # fmt: skip
    assert len(problems(ill)) == 6
    assert "1 of 2 devices do not answer: inverter" in problems(ill)
