"""Request quotas: token buckets in Redis, with a share of them in the process while Redis is away.

`bucket` is the pure model, `take.lua` the same rules in Redis, `limiter` the only caller of either.
"""
