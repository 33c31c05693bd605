"""Where checkpoints come from: sources, downloads and the cache.

    fetched = zoo.hub.fetch(zoo.info("mobilenet_v1").checkpoint)
    fetched.path, fetched.member
    path = zoo.hub.local_path("hf://owner/repository")

Environment: ZOO_CACHE (the cache folder), ZOO_MIRROR (a copy of a cache, tried first: a folder or
an address), ZOO_OFFLINE=1 or HF_HUB_OFFLINE=1 (no network), HF_ENDPOINT and HF_TOKEN (the Hub),
REQUESTS_CA_BUNDLE or SSL_CERT_FILE or PIP_CERT (trusted certificates), PIP_INDEX_URL or
UV_DEFAULT_INDEX or UV_INDEX_URL (the package index for wheel sources), and the proxy variables.
"""

from zoo.hub.addresses import is_address, local_path, open_checkpoint
from zoo.hub.cache import CachedFile, cache_dir, is_offline, list_cached, prune, verify_cached
from zoo.hub.fetching import Fetched, fetch
from zoo.hub.sources import Source, register_source
from zoo.hub.verify import Expected, Fingerprint

__all__ = [
    "CachedFile",
    "Expected",
    "Fetched",
    "Fingerprint",
    "Source",
    "cache_dir",
    "fetch",
    "is_address",
    "is_offline",
    "list_cached",
    "local_path",
    "open_checkpoint",
    "prune",
    "register_source",
    "verify_cached",
]
