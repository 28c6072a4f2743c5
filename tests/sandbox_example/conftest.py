"""The plugin's fixtures by name, so that these tests also run from a bare checkout.

Where the package is installed, its entry point brings them and no import is needed.
"""

from bot.sandbox.pytest_plugin import (
    sandbox,
    sandbox_client,
    sandbox_discord,
    sandbox_options,
)

__all__ = ["sandbox", "sandbox_client", "sandbox_discord", "sandbox_options"]
