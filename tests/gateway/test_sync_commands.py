"""`holdfast sync`, with a gateway that runs and without one."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.model import Event
from gateway.core.status import StreamState, SyncState
from gateway.synccommands import status_lines
from tests.buffer.onfile import HUB, holdfast, opened, site_yaml
from tests.e2e.parts import part, until
from tests.gateway.ports import free_port
from tests.values import METER, power

NOON = 1_795_172_400_000  # 2026-11-20T12:00 in Berlin
EPOCH = "0123456789abcdef"


async def some_site(folder: Path) -> Path:
    """A site with 30 records, the first 20 sealed, of which the hub lacks all but 5, and two in quarantine."""
    async with opened(folder / "buffer.db") as buffer:
        buffer.put(METER, [power(NOON + second * 1000, second) for second in range(20)])
        await buffer.flushed()
        await buffer.sealing.seal()
        buffer.put(METER, [power(NOON + second * 1000, second) for second in range(20, 30)])
        buffer.put_event(Event(NOON + 500, "noted"))
        buffer.keep_spans("records", [(5, None)])
        refused = [(msgspec.structs.replace(power(NOON, 42), seq=1), "too early"), (Event(NOON, "odd", seq=7), "no")]
        await buffer.quarantine.add(EPOCH, refused, NOON)
        await buffer.flushed()
    page = f"page: {{port: {free_port()}, password_sha256: {64 * 'a'}}}\n"
    return site_yaml(folder, HUB + page)


async def status(site: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((await holdfast("sync", "status", "--config", site, "--json"))[1])
    return told


async def test_without_a_gateway_it_says_what_the_file_says_and_no_more(tmp_path: Path) -> None:
    site = await some_site(tmp_path)
    code, out, err = await holdfast("sync", "status", "--config", site)
    assert (code, err) == (0, "")
    assert "No gateway runs; this is what its buffer's file says." in out
    assert "25 records wait for the hub" in out
    assert "2026-11-20 12:00:05" in out  # the oldest of them
    assert "quarantine: 2" in out
    assert "Rate" not in out
    assert "Last acknowledged" not in out
    told = await status(site)
    assert set(told) == {"running", "hub", "backlog", "streams", "quarantined"}
    assert (told["running"], told["backlog"], told["quarantined"]) == (False, 25, 2)
    events = told["streams"][1]
    assert (events["name"], events["head"], events["backlog"], events["oldest"]) == ("events", 1, 1, NOON + 500)
    for verb in (("compare",), ("quarantine", "resend", "--all")):
        code, _, err = await holdfast("sync", *verb, "--config", site)
        assert (code, "no gateway of this site runs" in err) == (1, True)


async def test_a_running_gateway_is_asked_without_its_password_and_does_what_is_asked(tmp_path: Path) -> None:
    site = await some_site(tmp_path)
    async with part(tmp_path, "run", "site.yaml"):
        await until(lambda told: (told["running"], told["backlog"]) == (True, 25), lambda: status(site))
        code, out, _ = await holdfast("sync", "status", "--config", site)
        assert (code, "Last acknowledged" in out) == (0, True)
        assert (await holdfast("sync", "quarantine", "resend", "2", "--config", site))[0] == 0
        code, _, err = await holdfast("sync", "quarantine", "resend", "2", "99", "--config", site)
        assert (code, "not in the quarantine: 99" in err) == (1, True)
        assert (await holdfast("sync", "compare", "--config", site))[0] == 0
        _, out, _ = await holdfast("sync", "quarantine", "list", "--config", site)
        event, record = out.splitlines()
        assert event.split(None, 1) == ["2", "event of 2026-11-20 12:00:00, odd: no; it is sent again"]
        assert record.split(None, 1) == ["1", "record of 2026-11-20 12:00:00, meter, live: too early"]
    assert not (tmp_path / "site.yaml.sock").exists()


async def test_the_quarantine_goes_to_a_file_with_its_values_an_object_a_line(tmp_path: Path) -> None:
    site = await some_site(tmp_path)
    file = tmp_path / "refused.ndjson"
    code, out, _ = await holdfast("sync", "quarantine", "export", file, "--config", site)
    assert (code, out) == (0, f"{file}: 2 entries\n")
    event, record = map(json.loads, file.read_text().splitlines())
    assert (record["reason"], record["content"]) == ("too early", {"power": 42, "voltage": 230.0})
    assert (event["what"], event["seq"]) == ("odd", 7)
    assert (await holdfast("sync", "quarantine", "export", file, "--config", site))[0] == 2
    _, out, _ = await holdfast("sync", "quarantine", "list", "--config", site, "--json")
    assert out == file.read_text()


async def test_what_shall_be_sent_again_has_to_be_named(tmp_path: Path) -> None:
    site = site_yaml(tmp_path, HUB)
    for wrong in ((), ("1", "--all")):
        code, _, err = await holdfast("sync", "quarantine", "resend", *wrong, "--config", site)
        assert (code, "--all" in err) == (2, True)


async def test_a_site_that_never_ran_and_one_without_a_hub_say_so(tmp_path: Path) -> None:
    site = site_yaml(tmp_path)
    code, _, err = await holdfast("sync", "status", "--config", site)
    assert (code, "has this site's gateway run yet?" in err) == (1, True)
    async with opened(tmp_path / "buffer.db"):
        pass
    _, out, _ = await holdfast("sync", "status", "--config", site)
    assert "No hub; everything stays here" in out
    _, out, _ = await holdfast("sync", "quarantine", "list", "--config", site)
    assert out == "the hub has refused nothing\n"


def test_a_stream_tells_its_error_beside_its_figures() -> None:
    stream = StreamState("records", 10, 4, NOON - 3_600_000, NOON - 1000, 2.5, 1.6, "the secret is wrong", 90)
    lines = list(status_lines(SyncState("https://hub.example", streams=(stream,)), NOON, UTC, running=True))
    text = "\n".join(lines)
    for said in ("the secret is wrong", "4 (the oldest 60 min old, 2026-11-20 10:00:00)", "2.5/s", "in 1 s", "in 90 s"):
        assert said in text, said
