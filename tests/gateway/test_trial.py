"""A configuration on trial: what worked must work again, or the old one is back."""

import asyncio
import stat
from pathlib import Path

import pytest

from gateway import trial as trial_module
from gateway.core.errors import StorageError
from gateway.trial import CUT_SHORT, Trial, Trials, digest, watch
from tests.virtual import run_virtually

OLD, NEW = "site: {name: Old}\n", "site: {name: New}\n"
TRIAL = Trial("a", digest(NEW.encode()), hub=True, answering=("one", "two"), polled=3)
WELL = {"hub": True, "answering": {"one", "two", "three"}, "polled": {"one", "two", "three"}}


def begun(folder: Path) -> Trials:
    trials = Trials(folder / "site.yaml")
    trials.path.write_text(OLD)
    trials.path.chmod(0o640)
    trials.begin(NEW, TRIAL)
    return trials


@pytest.mark.parametrize(
    ("changed", "lacks"),
    [
        ({}, ""),
        ({"answering": {"one", "two"}}, ""),
        ({"hub": False}, "the hub is not reached any more"),
        ({"answering": {"one", "three"}}, "two answered before, and not any more"),
        ({"answering": {"two"}, "polled": {"two", "three"}}, ""),
        ({"answering": set(), "polled": {"a", "b", "c"}}, "0 devices answer where at least 2 should"),
        ({"answering": {"a", "b"}, "polled": {"a", "b", "c"}}, ""),
        ({"answering": set(), "polled": set()}, ""),
    ],
    ids=["all", "as before", "no hub", "one silent", "one taken out", "called otherwise", "and answer", "none left"],
)
def test_a_trial_lacks_what_worked_before_and_was_not_taken_out(changed: dict[str, object], lacks: str) -> None:
    assert TRIAL.lacks(**{**WELL, **changed}) == lacks  # type: ignore[arg-type]  # a mixed dict


def test_a_site_whose_hub_was_away_needs_none_to_pass() -> None:
    offline = Trial("a", "", hub=False, answering=(), polled=0)
    assert offline.lacks(hub=False, answering=set(), polled=set()) == ""


def test_the_new_configuration_is_in_place_and_the_old_one_beside_it_with_its_rights(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    assert trials.path.read_text() == NEW
    for name in ("site.yaml", "site.yaml.before"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    assert (tmp_path / "site.yaml.before").read_text() == OLD
    assert trials.current() == TRIAL


@pytest.mark.P9
@pytest.mark.parametrize("crashed_before_swap", [False, True])
def test_a_process_that_finds_a_trial_puts_the_old_configuration_back(
    tmp_path: Path, crashed_before_swap: bool
) -> None:
    trials = begun(tmp_path)
    if crashed_before_swap:
        trials.path.write_text(OLD)
    trials.recover()
    assert trials.path.read_text() == OLD
    found = trials.current()
    assert found is not None
    assert found.verdict == "rolled back"
    assert CUT_SHORT in found.why
    assert not trials.roll_back("once is enough")


def test_what_somebody_wrote_by_hand_meanwhile_stays(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    trials.path.write_text("site: {name: By hand}\n")
    trials.recover()
    assert trials.path.read_text() == "site: {name: By hand}\n"


def test_without_a_trial_nothing_is_put_back(tmp_path: Path) -> None:
    trials = Trials(tmp_path / "site.yaml")
    trials.path.write_text(OLD)
    trials.recover()
    assert trials.path.read_text() == OLD
    assert trials.current() is None


def watched(trials: Trials, *missing: str) -> tuple[list[Trial], list[str]]:
    """Watch a trial, which lacks these one look after the other, the last for ever: what was told, what restarted."""
    told: list[Trial] = []
    restarts: list[str] = []
    left = list(missing)

    async def tell(trial: Trial) -> None:
        told.append(trial)

    def lacks(trial: Trial, time_is_over: bool) -> str:
        return left.pop(0) if len(left) > 1 else left[0]

    run_virtually(watch(trials, lacks, tell, lambda: restarts.append("restart")))
    return told, restarts


def test_as_soon_as_all_works_the_new_configuration_stays_and_that_is_told(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    told, restarts = watched(trials, "the hub", "a device", "")
    assert [trial.verdict for trial in told] == ["kept"]
    assert restarts == []
    assert trials.path.read_text() == NEW
    assert trials.current() is None


@pytest.mark.P9
def test_what_does_not_work_within_five_minutes_is_rolled_back_and_told_by_the_next_run(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    told, restarts = watched(trials, "the hub is not reached any more")
    assert (told, restarts) == ([], ["restart"])
    assert trials.path.read_text() == OLD
    told, restarts = watched(trials, "never asked")
    assert [(trial.verdict, trial.why) for trial in told] == [("rolled back", "the hub is not reached any more")]
    assert restarts == []
    assert trials.current() is None


def test_a_verdict_that_cannot_be_told_is_told_later(tmp_path: Path) -> None:
    trials, tries = begun(tmp_path), []

    async def tell(trial: Trial) -> None:
        tries.append(trial.verdict)
        if len(tries) < 3:
            raise StorageError("the disk is full")

    run_virtually(watch(trials, lambda trial, time_is_over: "", tell, lambda: None))
    assert tries == ["kept"] * 3


def test_a_trial_lasts_five_minutes(tmp_path: Path) -> None:
    async def until_rolled_back() -> float:
        loop = asyncio.get_running_loop()
        since = loop.time()

        async def tell(trial: Trial) -> None: ...

        await watch(begun(tmp_path), lambda trial, time_is_over: "the hub", tell, lambda: None)
        return loop.time() - since

    assert run_virtually(until_rolled_back()) == pytest.approx(trial_module.TRIAL_S)
