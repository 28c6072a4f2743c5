"""What the process's exit status tells whoever started it.

| code | meaning | what helps |
|---|---|---|
| 0 | ended as asked, SIGTERM included | |
| 1 | `turbocord try`: the reply was a refusal | the sentence it printed |
| 64 | a setting or an argument is wrong | the variable it names |
| 65 | the store cannot be opened, read or written | path, disk space, database |
| 66 | the model is missing or damaged | the model's name or folder |
| 67 | Discord does not accept the token | a new token |
| 68 | Discord cannot be reached | the network; starting again later |
| 69 | an intent is not enabled for the application | the developer portal |
| 70 | a fault of ours, or no device is left that can draw | the log; starting again |

The numbers follow the range of BSD's sysexits without its meanings. A supervisor may restart after
68 and 70; after the others nothing changes until someone acts.
"""

from __future__ import annotations

from typing import Final

OK: Final = 0
REFUSED: Final = 1
CONFIG: Final = 64
STORE: Final = 65
MODEL: Final = 66
LOGIN: Final = 67
UNREACHABLE: Final = 68
INTENTS: Final = 69
INTERNAL: Final = 70
