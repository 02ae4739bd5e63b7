"""The cases. Importing this registers them, in the order in which they are run."""

from . import pairs, oneway, sizes, crate  # noqa: F401
from . import requests, spreading, routing, limits  # noqa: F401
from . import subscriptions, telling, slow, pipelines  # noqa: F401
from . import devices, forwarding, streaming  # noqa: F401
from . import heartbeats, identities, connecting, restarts, raw  # noqa: F401
from . import calls, ending, items  # noqa: F401
