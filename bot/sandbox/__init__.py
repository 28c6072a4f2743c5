"""A Discord server in a box: gateway, REST, CDN and members, on one port of this machine.

It knows nothing of any bot; whatever speaks Discord's API v10 can be pointed at it. See
`bot.sandbox.control` for the HTTP routes by which any program acts as a member.
"""

from bot.sandbox.client import SandboxClient
from bot.sandbox.client_http import SandboxError
from bot.sandbox.clock import Clock
from bot.sandbox.server import Sandbox

__all__ = ["Clock", "Sandbox", "SandboxClient", "SandboxError"]
