"""`holdfast hub`: a command of its own, and the commands below it."""

from tests.gateway.test_cli import holdfast


async def test_the_hub_cannot_run_without_its_configuration() -> None:
    code, _, err = await holdfast("hub")
    assert code == 2
    assert "Missing option '--config'" in err
