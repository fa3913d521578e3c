"""A hub that speaks TLS and a gateway, as real processes: believed by configuration, or not at all."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.core.credential import digest
from tests.e2e.parts import free_ports, part, until
from tests.sync.certificates import Authority

SECRET = "a secret of this test only"
SITE = """
site: {{name: Test site}}
page: {{port: {page}}}
hub: {{url: "https://localhost:{hub}", node_id: node, secret: {secret}, push_interval_s: 0.5{believed}}}
"""
HUB = """
store: hub.db
port: {hub}
tls_cert: hub.pem
tls_key: hub.key
nodes: [{{id: node, secret_sha256: {digest}}}]
"""


@pytest.mark.P11
@pytest.mark.parametrize("by", ["authority", "fingerprint", "nothing"])
async def test_a_gateway_reaches_a_hub_with_a_certificate_of_its_own(tmp_path: Path, by: str) -> None:
    authority = Authority(tmp_path)
    certificate = authority.sign("hub")
    believed = {
        "authority": ", tls_ca: ca.pem",
        "fingerprint": f', tls_fingerprint: "{certificate.fingerprint}"',
        "nothing": "",
    }[by]
    ports = free_ports("page", "hub")
    (tmp_path / "site.yaml").write_text(SITE.format(**ports, secret=SECRET, believed=believed))
    (tmp_path / "hub.yaml").write_text(HUB.format(**ports, digest=digest(SECRET)))

    async with part(tmp_path, "hub", "hub.yaml"), part(tmp_path, "run", "site.yaml"), aiohttp.ClientSession() as http:

        async def state() -> dict[str, Any]:
            async with http.get(f"http://127.0.0.1:{ports['page']}/api/v1/state") as response:
                answer: dict[str, Any] = await response.json()
                return answer

        if by == "nothing":
            await until(lambda now: "signed by nobody whom this machine trusts" in now["sync"]["error"], state)
            assert (await state())["sync"]["acknowledged_at"] == 0
        else:
            await until(lambda now: now["sync"]["acknowledged_at"] > 0, state)
