"""What axe-core, a checker of accessibility, has against a page; `npm ci` brings it."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.needs import lacks

SCRIPT = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
RUN = """(rules) => axe.run(document, {resultTypes: ["violations"], ...(rules && {runOnly: rules})}).then(
    ({violations}) => violations.flatMap(({id, nodes}) => nodes.map(
        ({target, failureSummary}) => `${id} ${target.join(" ")}: ${failureSummary}`)))"""


async def violations(page: Page, *rules: str) -> list[str]:
    """Each with its rule and its element; of these rules alone, or of all. Skips the test where it is not installed."""
    if not SCRIPT.exists():
        lacks("axe-core", "axe-core of npm")
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(SCRIPT.read_text() + ";0")  # not as a script of the page, which may have none but its own
    found: Any = await page.evaluate(RUN, list(rules) or None)
    return list(found)
