"""What is written down of each request, so that buttons last and a restart loses nothing.

The store may be away: drawing goes on without it, and the log says once what was not kept.
"""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)
