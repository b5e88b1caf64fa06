"""The "Cache Server" that larder replaces: FastAPI and redis-py, as such services are written.

The peer of the benchmarks and of tests/compare/compare, on Debian 12's packages (group `peers` in
scripts/packages.def; uvicorn finds uvloop and httptools, redis-py finds hiredis by itself):

    cd bench/peers && /usr/bin/python3 -m uvicorn cache_server:app --workers 2 --port 8001

It is meant to be as fast as this stack goes without leaving its ways: one round trip for a GET,
kept connections, answers that skip FastAPI's encoder because they are JSON already, and Redis's
own counters instead of a write per request.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime
from typing import Any, Optional

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis.exceptions import RedisError

REDIS_HOST = os.getenv("REDIS_HOST", "localhost")
REDIS_PORT = int(os.getenv("REDIS_PORT", "6379"))
REDIS_DB = int(os.getenv("REDIS_DB", "0"))
REDIS_SOCKET = os.getenv("REDIS_SOCKET")
DEFAULT_TTL = int(os.getenv("DEFAULT_TTL", "3600"))
MAX_MEMORY_POLICY = os.getenv("MAX_MEMORY_POLICY", "allkeys-lru")

logger = logging.getLogger("uvicorn.error")

app = FastAPI(title="Cache Server", description="A REST cache on Redis", version="1.0.0")

cache = redis.Redis(host=REDIS_HOST, port=REDIS_PORT, db=REDIS_DB, unix_socket_path=REDIS_SOCKET,
                    decode_responses=True)


class CacheEntry(BaseModel):
    """The body of a PUT."""

    value: Any = Field(..., description="Any JSON value")
    ttl: Optional[int] = Field(None, description="Time to live in seconds")


def now() -> str:
    """The `timestamp` of answers."""
    return datetime.utcnow().isoformat()


def decode(data: str) -> Any:
    """A value as JSON; what another program wrote, as a string."""
    try:
        return json.loads(data)
    except ValueError:
        return data


@app.on_event("startup")
async def set_policy() -> None:
    """Redis may refuse it, and may not be there yet."""
    try:
        await cache.config_set("maxmemory-policy", MAX_MEMORY_POLICY)
    except RedisError as e:
        logger.warning("maxmemory-policy %s was not set: %s", MAX_MEMORY_POLICY, e)


@app.on_event("shutdown")
async def close() -> None:
    """Leaves no connection to Redis behind."""
    await cache.close()


@app.exception_handler(RedisError)
async def redis_failed(_: Request, error: RedisError) -> JSONResponse:
    """Whatever Redis refuses or doesn't answer."""
    return JSONResponse({"detail": f"Redis error: {error}"}, status_code=500)


@app.get("/")
async def root() -> JSONResponse:
    """What the service is and offers."""
    return JSONResponse({
        "service": "Cache Server",
        "version": app.version,
        "description": app.description,
        "endpoints": {
            "GET /cache/{key}": "Get a value",
            "PUT /cache/{key}": "Store a value",
            "DELETE /cache/{key}": "Delete a value",
            "DELETE /cache": "Delete all values",
            "GET /stats": "Cache statistics",
            "GET /health": "Health check",
        },
    })


@app.get("/cache/{key}")
async def get_value(key: str) -> JSONResponse:
    """The value and the seconds it has left."""
    data, ttl = await cache.pipeline(transaction=False).get(key).ttl(key).execute()
    if data is None:
        raise HTTPException(status_code=404, detail="Key not found")
    return JSONResponse({"key": key, "value": decode(data), "ttl": ttl if ttl >= 0 else None,
                         "timestamp": now()})


@app.put("/cache/{key}")
async def put_value(key: str, entry: CacheEntry) -> JSONResponse:
    """Stores a value for its ttl."""
    ttl = DEFAULT_TTL if entry.ttl is None else entry.ttl
    await cache.set(key, json.dumps(entry.value), ex=ttl)
    return JSONResponse({"key": key, "value": entry.value, "ttl": ttl, "timestamp": now()})


@app.delete("/cache/{key}")
async def delete_value(key: str) -> JSONResponse:
    """Deletes a value."""
    if not await cache.delete(key):
        raise HTTPException(status_code=404, detail="Key not found")
    return JSONResponse({"key": key, "deleted": True, "timestamp": now()})


@app.delete("/cache")
async def delete_all() -> JSONResponse:
    """Empties the database."""
    await cache.flushdb()
    return JSONResponse({"cleared": True, "timestamp": now()})


@app.get("/stats")
async def stats() -> JSONResponse:
    """Redis's own figures, which all workers share."""
    info, total_keys = await cache.pipeline(transaction=False).info().dbsize().execute()
    hits, misses = info["keyspace_hits"], info["keyspace_misses"]
    lookups = hits + misses
    return JSONResponse({
        "total_keys": total_keys,
        "hits": hits,
        "misses": misses,
        "hit_rate": round(100 * hits / lookups, 2) if lookups else 0.0,
        "memory_usage": info["used_memory_human"],
        "uptime_seconds": info["uptime_in_seconds"],
    })


@app.get("/health")
async def health() -> JSONResponse:
    """Whether Redis answers."""
    try:
        await cache.ping()
    except RedisError as e:
        raise HTTPException(status_code=503, detail="Redis connection failed") from e
    return JSONResponse({"status": "healthy", "timestamp": now()})
