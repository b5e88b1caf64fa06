"""Redis's eviction: every policy reaches it at every connect, and evicts what it should."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator

import pytest

import fcgi
from checks import check_envelope, check_problem
from harness import LARDERD, PATH, Larder, Redis, Stack, eventually
from proxy import Link, Relay

POLICIES = ["noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru",
            "volatile-lfu", "volatile-random", "volatile-ttl"]
NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
FILLER = b"v" * 4000


def setting(redis: Redis, name: str) -> str:
    """A setting of Redis's."""
    value: bytes = redis.ask("CONFIG", "GET", name)[1]
    return value.decode()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_is_applied(new_redis: NewRedis, new_larder: NewLarder, policy: str) -> None:
    """Each of the eight policies, and max_memory, are set at connect and again after a restart."""
    redis = new_redis()
    larder = new_larder(redis, workers=2, max_memory="64mb",
                        env={"MAX_MEMORY_POLICY": policy})
    larder.start()
    for _ in range(2):
        assert setting(redis, "maxmemory-policy") == policy
        assert setting(redis, "maxmemory") == str(64 << 20)
        shown = larder.stats()["redis"]
        assert shown["max_memory_policy"] == policy and shown["maxmemory"] == 64 << 20
        assert shown["max_memory_policy_configured"] == policy
        assert shown["policy_refused"] is False
        redis.kill()
        eventually(lambda: not larder.ready(), what="larderd notices")
        redis.start()
        eventually(larder.ready, what="larderd is connected again")


def test_without_max_memory_it_is_left_alone(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Without max_memory Redis's own limit stays; the default policy is allkeys-lru."""
    redis = new_redis("--maxmemory", "33mb", "--maxmemory-policy", "noeviction")
    larder = new_larder(redis)
    larder.start()
    assert setting(redis, "maxmemory") == str(33 << 20)
    assert setting(redis, "maxmemory-policy") == "allkeys-lru"
    assert larder.stats()["redis"]["maxmemory"] == 33 << 20


def test_max_memory_zero_lifts_the_limit(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """max_memory = 0 is a setting, not the absence of one."""
    redis = new_redis("--maxmemory", "33mb")
    new_larder(redis, max_memory=0).start()
    assert setting(redis, "maxmemory") == "0"


def test_a_bad_policy_stops_the_start() -> None:
    """An unknown policy is refused with the list of those there are."""
    done = subprocess.run([LARDERD, "--config", "/dev/null"], text=True, capture_output=True,
                          env={"PATH": PATH, "MAX_MEMORY_POLICY": "lru"}, check=False, timeout=30)
    assert done.returncode == 2
    for policy in POLICIES:
        assert policy in done.stderr
    assert "MAX_MEMORY_POLICY" in done.stderr and "lru" in done.stderr


@pytest.mark.parametrize("args", [
    ("--rename-command", "CONFIG", ""),
    ("--user", "default", "on", "nopass", "~*", "&*", "+@all", "-config"),
], ids=["renamed", "acl"])
def test_config_set_refused(new_redis: NewRedis, new_larder: NewLarder,
                            args: tuple[str, ...]) -> None:
    """A Redis that refuses CONFIG SET is used all the same, after one warning."""
    redis = new_redis(*args)
    larder = new_larder(redis, workers=2, max_memory="10mb")
    larder.start()
    eventually(lambda: all(w["redis_ready"] for w in larder.stats()["workers"]), what="connected")
    for i in range(20):
        check_envelope(larder.fastcgi("PUT", f"/cache/{i}", b'{"value":1}'), str(i), 1, 3600)
    assert larder.stats()["redis"]["policy_refused"] is True
    warnings = [line for line in larder.text().splitlines()
                if "warning" in line and "max_memory" in line]
    assert len(warnings) == 1, larder.text()


def test_an_unknown_policy_in_an_old_redis(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A Redis that doesn't know the policy says so; the service runs."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    try:
        def refuse(link: Link, args: list[bytes], reply: bytes) -> bool:
            if args[:2] == [b"CONFIG", b"SET"]:
                reply = b"-ERR Invalid argument 'allkeys-lfu' for CONFIG SET\r\n"
            return link.send(reply)

        relay.rule = refuse
        larder = new_larder(relay.path, max_memory_policy="allkeys-lfu")
        larder.start()
        assert larder.fastcgi("PUT", "/cache/a", b'{"value":1}').status == 200
        assert larder.stats()["redis"]["policy_refused"] is True
        larder.stop()
    finally:
        relay.close()


# --- a small Redis, filled -----------------------------------------------------------------------

class Filler:
    """Puts 4 KB entries through one kept FastCGI connection."""

    def __init__(self, larder: Larder, redis: Redis) -> None:
        self.connection = larder.connect()
        self.redis = redis
        self.made = 0

    def put(self, key: str, ttl: int = 0) -> fcgi.Response:
        """Stores one entry."""
        member = b',"ttl":%d' % ttl if ttl else b""
        return self.connection.request("PUT", f"/cache/{key}",
                                       b'{"value":"' + FILLER + b'"' + member + b"}", keep=True)

    def get(self, keys: Iterable[str]) -> None:
        """Reads entries."""
        for key in keys:
            assert self.connection.request("GET", f"/cache/{key}", keep=True).status == 200, key

    def evict(self, count: int, ttl: int = 0) -> None:
        """Stores further entries until so many keys have been evicted."""
        start = int(self.redis.info("stats")["evicted_keys"])
        while int(self.redis.info("stats")["evicted_keys"]) - start < count:
            for _ in range(10):
                assert self.put(f"new-{self.made}", ttl).status == 200
                self.made += 1
            assert self.made < 3000, "nothing is evicted"

    def survivors(self, keys: Iterable[str]) -> int:
        """How many of these keys are still there."""
        return sum(int(self.redis.ask("EXISTS", key)) for key in keys)


@pytest.fixture
def small(new_redis: NewRedis, new_larder: NewLarder) -> Iterator[Callable[..., Filler]]:
    """Starts a Redis of 4 MB with a policy, and a filler."""
    fillers: list[Filler] = []

    def start(policy: str, **options: object) -> Filler:
        redis = new_redis("--maxmemory-samples", "10", "--lfu-log-factor", "0")
        larder = new_larder(redis, workers=1, max_memory="4mb", max_memory_policy=policy,
                            **options)
        larder.start()
        filler = Filler(larder, redis)
        fillers.append(filler)
        return filler

    yield start
    for filler in fillers:
        filler.connection.close()


def test_allkeys_lru_keeps_what_was_read(small: Callable[..., Filler]) -> None:
    """Under allkeys-lru the recently read entries survive, the others go."""
    filler = small("allkeys-lru")
    hot, cold = [f"hot-{i}" for i in range(100)], [f"cold-{i}" for i in range(200)]
    for key in [*hot, *cold]:
        filler.put(key)
    eventually(lambda: min(filler.redis.ask("OBJECT", "IDLETIME", k) for k in (hot[-1], cold[-1]))
               >= 2, 10, "the entries grow old")
    filler.get(hot)
    filler.evict(150)
    kept_hot, kept_cold = filler.survivors(hot), filler.survivors(cold)
    print(f"lru: {kept_hot} of {len(hot)} read, {kept_cold} of {len(cold)} unread survive")
    assert kept_hot >= 90 and kept_cold <= 70


def test_allkeys_lfu_keeps_what_is_read_often(small: Callable[..., Filler]) -> None:
    """Under allkeys-lfu the frequently read entries survive, although others are more recent."""
    filler = small("allkeys-lfu")
    often, rare = [f"often-{i}" for i in range(100)], [f"rare-{i}" for i in range(200)]
    for key in often:
        filler.put(key)
    for _ in range(8):
        filler.get(often)
    for key in rare:
        filler.put(key)
    filler.evict(500)
    kept_often, kept_rare = filler.survivors(often), filler.survivors(rare)
    print(f"lfu: {kept_often} of {len(often)} often read, {kept_rare} of {len(rare)} others")
    assert kept_often >= 90 and kept_rare <= 140


def test_volatile_ttl_drops_what_ends_first(small: Callable[..., Filler]) -> None:
    """Under volatile-ttl those with the shortest ttl go, those without any never."""
    filler = small("volatile-ttl", default_ttl=0)
    soon, late = [f"soon-{i}" for i in range(200)], [f"late-{i}" for i in range(100)]
    never = [f"never-{i}" for i in range(50)]
    for keys, ttl in ((soon, 100), (late, 1_000_000), (never, 0)):
        for key in keys:
            filler.put(key, ttl)
    filler.evict(150, ttl=500_000)
    counts = [filler.survivors(keys) for keys in (soon, late, never)]
    print(f"volatile-ttl: {counts[0]} of {len(soon)} ending soon, {counts[1]} of {len(late)} "
          f"ending late, {counts[2]} of {len(never)} without end survive")
    assert counts[0] <= 70 and counts[1] >= 90 and counts[2] == len(never)


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random"])
def test_volatile_policies_spare_entries_without_ttl(small: Callable[..., Filler],
                                                     policy: str) -> None:
    """Under the volatile policies entries without ttl are never evicted."""
    filler = small(policy, default_ttl=0)
    never = [f"never-{i}" for i in range(100)]
    for key in never:
        filler.put(key)
    filler.evict(150, ttl=1000)
    assert filler.survivors(never) == len(never)


def test_stats_show_eviction(small: Callable[..., Filler]) -> None:
    """/stats and the original's total_keys follow what Redis evicts."""
    filler = small("allkeys-random")
    filler.evict(50)
    filler.connection.send(fcgi.request_bytes("GET", "/stats", keep=True))
    stats = filler.connection.read_response().json()
    redis = stats["redis"]
    assert redis["evicted_keys"] >= 50 and redis["maxmemory"] == 4 << 20
    # Redis evicts in the background as well, also between the two commands of /stats.
    assert abs(redis["evicted_keys"] + stats["total_keys"] - filler.made) <= 5
    assert 0 < redis["used_memory"] <= (4 << 20) * 1.1
    assert redis["max_memory_policy"] == "allkeys-random"


def test_noeviction_refuses_politely(small: Callable[..., Filler]) -> None:
    """A full Redis under noeviction: PUT is 507, GET and DELETE go on, space helps (T15)."""
    filler = small("noeviction")
    keys: list[str] = []
    while (answer := filler.put(f"k{len(keys)}")).status == 200:
        keys.append(f"k{len(keys)}")
        assert len(keys) < 2000
    document = check_problem(answer, 507, "backend-full")
    assert document["outcome"] == "not-applied"
    assert int(answer.header("Retry-After") or 0) >= 1
    assert "OOM" not in answer.body.decode()
    ask = filler.connection.request
    refused = ask("PUT", f"/cache/{keys[0]}", b'{"value":"' + FILLER + b'!"}', keep=True)
    assert refused.status == 507
    assert ask("GET", f"/cache/{keys[0]}", keep=True).json()["value"] == FILLER.decode()
    assert ask("GET", "/cache/none", keep=True).status == 404
    assert ask("GET", "/health", keep=True).status == 200
    for key in keys[:200]:
        assert ask("DELETE", f"/cache/{key}", keep=True).status == 200
    assert filler.put("again").status == 200
    assert ask("DELETE", "/cache", keep=True).status == 200
    assert filler.put("empty").status == 200


def test_full_through_the_fronts(own: Callable[..., Stack]) -> None:
    """The 507 reaches clients of both web servers as it is."""
    stack = own("lighttpd", "nginx", workers=1, max_memory="3mb", max_memory_policy="noeviction")
    for kind, front in stack.fronts.items():
        with front.http() as http:
            for i in range(2000):
                answer = http.put(f"/cache/{kind}-{i}", b'{"value":"' + FILLER + b'"}')
                if answer.status != 200:
                    break
            check_problem(answer, 507, "backend-full")
            assert http.get("/health").status == 200
            assert http.delete("/cache").status == 200
