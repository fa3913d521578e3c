"""Serial numbers keep histories apart when addresses are swapped."""

from gateway.core.clock import SystemClock
from gateway.core.errors import StorageError
from gateway.identity import Identities


class Kept:
    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.told: list[tuple[str, str]] = []
        self.away = False

    async def serials(self) -> dict[str, str]:
        if self.away:
            raise StorageError("the disk is not there")
        return dict(self.kept)

    async def keep_serial(self, device: str, serial: str, ts: int) -> None:
        self.kept[device] = serial

    def tell(self, kind: str, device: str, detail: str) -> None:
        self.told.append((kind, device))


def identities(kept: Kept) -> Identities:
    return Identities({"one": "grid", "two": "load"}, kept, SystemClock(), kept.tell)


async def test_the_first_serial_number_is_remembered_beyond_a_restart() -> None:
    kept = Kept()
    assert await identities(kept).name_of("one", "A") == "one"
    assert await identities(kept).name_of("one", "A") == "one"
    assert kept.kept == {"one": "A"}
    assert kept.told == []


async def test_two_devices_that_were_swapped_keep_their_histories_and_it_is_said_once() -> None:
    kept = Kept()
    kept.kept = {"one": "A", "two": "B"}
    known = identities(kept)
    for _ in range(2):
        assert await known.name_of("one", "B") == "two"
        assert await known.name_of("two", "A") == "one"
    assert [known.role_of(name) for name in ("one", "two")] == ["grid", "load"]
    assert kept.told == [("device_swapped", "one"), ("device_swapped", "two")]
    assert kept.kept == {"one": "A", "two": "B"}


async def test_a_new_device_in_the_place_of_an_old_one_goes_on_with_its_history() -> None:
    kept = Kept()
    kept.kept = {"one": "A"}
    assert await identities(kept).name_of("one", "C") == "one"
    assert kept.told == [("device_replaced", "one")]
    assert kept.kept == {"one": "C"}


async def test_when_a_serial_number_turns_up_elsewhere_its_owner_is_asked_again() -> None:
    kept = Kept()
    kept.kept = {"one": "A", "two": "B"}
    known = identities(kept)
    await known.name_of("one", "A")
    await known.name_of("two", "B")
    assert known.sure("one")
    assert known.sure("two")
    assert await known.name_of("one", "B") == "two"
    assert not known.sure("two"), "it may not have noticed that it was swapped"
    assert await known.name_of("two", "A") == "one"
    assert known.sure("one")
    assert known.sure("two")


async def test_a_serial_number_that_several_really_have_tells_nobody_apart() -> None:
    kept = Kept()
    known = identities(kept)
    names = ["one", "two"]
    for _ in range(6):
        names = [await known.name_of(name, "0000") for name in ("one", "two")]
    assert names == ["one", "two"]
    assert known.sure("one")
    assert known.sure("two")
    assert ("serial_not_unique", "one") in kept.told


async def test_a_device_that_was_renamed_takes_its_serial_number_along() -> None:
    kept = Kept()
    kept.kept = {"an old name": "A"}
    assert await identities(kept).name_of("one", "A") == "one"
    assert kept.told == []


async def test_what_was_kept_counts_as_soon_as_the_disk_gives_it() -> None:
    kept = Kept()
    kept.kept = {"one": "A", "two": "B"}
    kept.away = True
    known = identities(kept)
    assert await known.name_of("one", "B") == "one", "nothing is known that speaks against it"
    kept.away, kept.kept = False, {"one": "A", "two": "B"}
    assert await known.name_of("one", "B") == "two"
